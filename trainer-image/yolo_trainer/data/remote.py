"""Where the data volume ends and the network begins: what lies on the volume goes first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from yolo_crds.references import is_url, shown

from ..errors import InvalidDataError
from ..fetch.fetcher import Fetcher
from .locate import Located, Locator
from .source import NotFoundError, find_reference
from .tree import Tree


def find(tree: Tree, reference: str, data_field: str, fetcher: Fetcher) -> Path:
    """The file or folder that `template.data.<field>` means: of the tree, else fetched; who names an image
    wants nothing but what that holds.

    Raises InvalidDataError that tells all places that were looked at, FetchFailedError.
    """
    if is_url(reference):
        if tree.image:
            raise InvalidDataError(
                f"template.data.{data_field}: {shown(reference)} is a URL",
                "with template.data.image give a path within the image, or . for all of it",
            )
        return fetcher.archive(reference, data_field)
    try:
        return find_reference(tree, reference, data_field)
    except NotFoundError as missing:
        if tree.image or not fetcher.has_server or reference.startswith("/"):
            raise
        try:
            return fetcher.data_set(reference, data_field)
        except InvalidDataError as error:
            raise InvalidDataError(f"{missing.message}; {error.message}", error.hint) from error


def fill(volume: Tree, located: list[Located], fetcher: Fetcher) -> list[Located]:
    """The same, with the images that the `img_cache` of the volume lacks fetched from the UCD server, if
    there is one.
    """
    missing = _missing(volume, located) if fetcher.has_server else []
    if not missing:
        return located
    unfetched = fetcher.images(missing)
    locator = Locator(dict.fromkeys({one.split for one in located}, volume))

    def again(one: Located) -> Located:
        if not _is_fetchable(volume, one):
            return one
        if why := unfetched.get(one.sample.stem):
            return one._replace(problem=why.kind, detail=why.detail)
        return locator([(one.split, one.sample)])[0]

    return [again(one) for one in located]


def _missing(volume: Tree, located: Sequence[Located]) -> list[str]:
    """Codes of the images that may be on the server, each once, in the data sets' order."""
    return list(dict.fromkeys(one.sample.stem for one in located if _is_fetchable(volume, one)))


def _is_fetchable(volume: Tree, one: Located) -> bool:
    """A UCD server has images by code only, as `img_cache` has."""
    return one.problem == "missingImage" and one.sample.folder == volume.layout.images
