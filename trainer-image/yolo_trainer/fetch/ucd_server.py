"""Ask a UCD server, of either generation, for data sets by name and for images by code.

Old: `GET /ucd/{name}`. New: `GET /ucd/official/{name}`, else `/ucd/customer/{name}`; it answers a miss by 200
and a JSON error, so that only what is a data set counts as one. Both: `GET /file/{UC}.jpg`, `GET /ucd/check`.
"""

from __future__ import annotations

import difflib
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import urllib3
from urllib3 import BaseHTTPResponse

from ..data.json_file import MAX_BYTES, read_json_object
from ..data.readers.ucd import is_ucd
from ..errors import InvalidDataError
from ..volume import TEMPORARY_PREFIX
from .client import Client, NoAnswerError, NotServedError, Resource, TooLargeError, tls_context
from .kept import Slot
from .part import Part, Version

_PLACES = ("ucd/official/", "ucd/customer/", "ucd/")
_SEPARATORS = ("/", "%5C")
"""Of folders in a name: the old server runs on Windows."""
_LIST_BYTES = 64 << 20
_COMPARED = 20_000
"""Names on the server that a misspelt one is compared with."""
_TOLD = 120
"""Characters of a server's own words that are passed on."""


class _MissError(Exception):
    """One place of the server does not have the data set; what it answered instead."""


class UcdServer:
    """The server at a base URL (`Fetch.ucd_server`)."""

    def __init__(self, base: str, client: Client, parallel: int) -> None:
        self.base = base.rstrip("/")
        self._client = client
        self._pool = urllib3.PoolManager(
            num_pools=1,
            maxsize=parallel,
            block=True,
            retries=False,
            timeout=client.patience.timeout,
            ssl_context=tls_context() if self.base.startswith("https:") else None,
        )

    def image(self, code: str) -> Resource:
        """The image of a code."""
        return self._resource(f"file/{quote(code, safe='')}.jpg")

    def refresh(self, name: str, slot: Slot, part: Part) -> Path:
        """The data set of that name as the server has it now, kept in `slot`; an unchanged file is left as it
        is.

        Raises InvalidDataError that tells every answer when the server does not have it, and NoAnswerError
        when it may have it but did not answer.
        """
        answers = []
        unanswered: NoAnswerError | None = None
        for path in _paths(name):
            resource = self._resource(path)
            try:
                return self._take(resource, slot, part)
            except _MissError as miss:
                answers.append(f"{resource.shown}: {miss}")
            except NoAnswerError as error:
                unanswered = NoAnswerError(f"{resource.shown}: {error}", error.status)
                if error.status is None:
                    break  # no other place will fare better
            part.restart(Version())
        if unanswered is not None:
            raise unanswered
        raise InvalidDataError("asked the UCD server: " + "; ".join(answers), self._hint(name, slot))

    def _take(self, resource: Resource, slot: Slot, part: Part) -> Path:
        before = slot.kept()
        known = before.version if before is not None and before.origin == resource.shown else None
        try:
            found = self._client.download(resource, part, MAX_BYTES, known)
        except (NotServedError, TooLargeError) as error:
            raise _MissError(str(error)) from error
        if found.unchanged and before is not None:
            return slot.confirm(before)
        _check_ucd(part)
        return slot.keep(part, f"{slot.folder.name}.json", resource.shown)

    def _resource(self, path: str) -> Resource:
        url = f"{self.base}/{path}"

        def send(headers: Mapping[str, str]) -> BaseHTTPResponse:
            # No redirects: the installer named this server and no other.
            return self._pool.request("GET", url, headers=headers, preload_content=False, redirect=False)

        return Resource(url, send)

    def _hint(self, name: str, slot: Slot) -> str | None:
        """Names on the server that are like the missing one."""
        like = difflib.get_close_matches(name, list(self._names(slot)), n=5, cutoff=0.5)
        return f"the UCD server has {', '.join(like)}" if like else None

    def _names(self, slot: Slot) -> Iterator[str]:
        """Names of data sets, folders by `/`; none when the server gives no list: it only serves a hint."""
        path = slot.folder / f"{TEMPORARY_PREFIX}check-{secrets.token_hex(4)}"
        with Part(path) as part:
            try:
                self._client.download(self._resource("ucd/check"), part, _LIST_BYTES)
                lists = read_json_object(part.read())
            except (NoAnswerError, NotServedError, TooLargeError, InvalidDataError):
                return
        names = (name for found in lists.values() if isinstance(found, list) for name in found)
        for _, name in zip(range(_COMPARED), names, strict=False):
            yield str(name).replace("\\", "/")


def check_name(reference: str, data_field: str) -> str:
    """A reference as the name of a data set: folders by `/`, no ending; raises InvalidDataError for one that
    no server is to be asked for.
    """
    name = reference.replace("\\", "/").removesuffix(".json")
    wrong = None
    if not reference.isprintable():
        wrong = "has a control character in it"
    elif name.startswith("/"):
        wrong = "is a path, not a name"
    elif any(part in {"", ".", ".."} for part in name.split("/")):
        wrong = "has an empty folder, '.' or '..' in it"
    if wrong:
        raise InvalidDataError(f"template.data.{data_field}: {reference!r} {wrong}")
    return name


def _paths(name: str) -> Iterator[str]:
    """Where a data set of that name may be, below the base URL."""
    folders = [quote(part, safe="") for part in name.split("/")]
    for separator in _SEPARATORS if len(folders) > 1 else _SEPARATORS[:1]:
        for place in _PLACES:
            yield place + separator.join(folders)


def _check_ucd(part: Part) -> None:
    """Raises _MissError, with what came instead, unless it is a UCD data set."""
    path = part.read()
    try:
        content = read_json_object(path)
    except InvalidDataError as error:
        raise _MissError(f"HTTP 200, but no JSON object ({beginning(path)})") from error
    if not is_ucd(content):
        raise _MissError(f"HTTP 200, but no data set ({beginning(path)})")


def beginning(path: Path) -> str:
    """The first words of an answer that is not what was asked for."""
    with path.open("rb") as file:
        text = file.read(_TOLD).decode("utf-8", "replace")
    return "".join(c if c.isprintable() else " " for c in text).strip() or "nothing"
