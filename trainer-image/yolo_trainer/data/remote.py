"""Where the data volume ends and the network begins: what lies on the volume goes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from yolo_crds.references import is_url, shown

from ..errors import InvalidDataError
from .locate import Located, Locator
from .source import NotFoundError, find_reference
from .tree import Tree


class Unfetched(Protocol):
    """Why there is no image: a kind of `Skipped`, and a detail for people."""

    @property
    def kind(self) -> str: ...
    @property
    def detail(self) -> str: ...


class Remote(Protocol):
    """What data sets and images are fetched by, where the installer allows it; see `fetch.fetcher`."""

    @property
    def has_server(self) -> bool:
        """Whether there is a UCD server to ask."""

    def data_set(self, reference: str, data_field: str) -> Path:
        """The UCD file of the data set that the server knows by this name."""

    def images(self, codes: Sequence[str]) -> Mapping[str, Unfetched]:
        """Fetches images into `img_cache`; those that the server does not have, with the reason."""

    def archive(self, reference: str, data_field: str) -> Path:
        """The archive at a URL."""


def find(tree: Tree, reference: str, data_field: str, remote: Remote | None) -> Path:
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
        if remote is None:
            raise InvalidDataError(
                f"template.data.{data_field}: {shown(reference)} is not fetched: nothing is fetched here"
            )
        return remote.archive(reference, data_field)
    try:
        return find_reference(tree, reference, data_field)
    except NotFoundError as missing:
        if tree.image or remote is None or not remote.has_server or reference.startswith("/"):
            raise
        try:
            return remote.data_set(reference, data_field)
        except InvalidDataError as error:
            hint = f"{missing.hint} {error.hint or ''}".rstrip() if missing.is_alike else error.hint
            raise InvalidDataError(f"{missing.message}; {error.message}", hint) from error


def fill(volume: Tree, located: list[Located], remote: Remote | None) -> list[Located]:
    """The same, with the images that the `img_cache` of the volume lacks fetched from the UCD server, if
    there is one.
    """
    if remote is None or not remote.has_server:
        return located
    missing = _missing(volume, located)
    if not missing:
        return located
    unfetched = remote.images(missing)
    splits = {one.split for one in located}
    locator = Locator(dict.fromkeys(splits, volume), dict.fromkeys(splits, "template.data"))

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
