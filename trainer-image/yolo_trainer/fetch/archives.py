"""Archives of data sets at `https://` URLs that users write: which are asked for, and how.

Only https, only hosts that `addresses.Gate` lets pass, each redirect checked like the first URL; credentials
are sent to nobody. A URL's query may be a secret: it is sent, never shown.
"""

from __future__ import annotations

import hashlib
import re
import ssl
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from itertools import count
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urljoin

import urllib3
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from yolo_crds.references import shown

from ..data.archive import ENDINGS
from ..errors import SPEC_HINT, InvalidDataError
from .addresses import Gate, RefusedAddressError
from .client import Resource, tls_context

MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PORT = 443
_NAME_MAX = 100


@dataclass(frozen=True)
class ArchiveUrl:
    """A URL that may be asked for; `field` is where the user wrote it."""

    url: Url
    field: str

    @classmethod
    def parse(cls, reference: str, field: str) -> ArchiveUrl:
        """Raises InvalidDataError that names the field for anything but a plain https URL."""
        return cls(_parse(reference, f"{field}: {shown(reference)}"), field)

    @property
    def shown(self) -> str:
        return shown(self.url.url)

    @property
    def key(self) -> str:
        """Name of the folder that what comes from this URL is kept in."""
        return hashlib.sha256(self.url._replace(fragment=None).url.encode()).hexdigest()

    def file_name(self, headers: Mapping[str, str]) -> str:
        """What the archive is called: by the URL's path, else as the server says.

        Raises InvalidDataError when neither ends as archives do.
        """
        for name in (PurePosixPath(unquote(self.url.path or "")).name, _stated_name(headers)):
            if name.lower().endswith(ENDINGS):
                plain = re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".")
                return plain[-_NAME_MAX:].lstrip(".")
        raise InvalidDataError(
            f"{self.field}: {self.shown} is no archive: neither its path nor the server's Content-Disposition"
            f" names a file that ends in {', '.join(ENDINGS)}"
        )


class ArchiveServers:
    """Sends requests for archives to the hosts that `gate` lets pass."""

    def __init__(self, gate: Gate, timeout: urllib3.Timeout, tls: ssl.SSLContext | None = None) -> None:
        self._gate = gate
        self._timeout = timeout
        self._tls = tls or tls_context()

    def resource(self, archive: ArchiveUrl) -> Resource:
        """The archive at a URL; sending raises InvalidDataError where a redirect or an address is refused."""

        attempts = count()

        def send(headers: Mapping[str, str]) -> BaseHTTPResponse:
            url = archive.url
            attempt = next(attempts)
            for _ in range(MAX_REDIRECTS + 1):
                response = self._get(url, headers, archive, attempt)
                if response.status not in _REDIRECTS:
                    return response
                response.close()
                where = f"{archive.field}: {archive.shown} leads to"
                target = urljoin(url.url, response.headers.get("Location", ""))
                url = _parse(target, f"{where} {shown(target)}")
            raise InvalidDataError(
                f"{archive.field}: {archive.shown} leads on more than {MAX_REDIRECTS} times"
            )

        return Resource(archive.shown, send)

    def _get(
        self, url: Url, headers: Mapping[str, str], archive: ArchiveUrl, attempt: int
    ) -> BaseHTTPResponse:
        """One request, to an address that was checked, another one at each attempt; TLS is still about the
        host's name.
        """
        host = (url.host or "").strip("[]")
        port = url.port or _PORT
        try:
            addresses = self._gate.addresses(host, port)
        except RefusedAddressError as error:
            via = "" if url == archive.url else f" leads to {shown(url.url)}, which"
            raise InvalidDataError(
                f"{archive.field}: {archive.shown}{via} is not taken: {error}",
                "the installer decides with the chart value fetch.archives.hosts",
            ) from error
        pool = urllib3.HTTPSConnectionPool(
            addresses[attempt % len(addresses)],
            port,
            timeout=self._timeout,
            retries=False,
            ssl_context=self._tls,
            server_hostname=host,
        )
        named = {**headers, "Host": url.netloc or host}
        return pool.request("GET", url.request_uri, headers=named, preload_content=False, redirect=False)


def check_archive(path: Path, name: str, archive: ArchiveUrl, headers: Mapping[str, str]) -> None:
    """Raises InvalidDataError when a whole answer is no archive of the kind that its name says."""
    is_whole = zipfile.is_zipfile if name.lower().endswith(".zip") else tarfile.is_tarfile
    if not is_whole(path):
        kind = headers.get("Content-Type", "of no stated type").partition(";")[0]
        raise InvalidDataError(
            f"{archive.field}: {archive.shown} is no archive: the server sent something else ({kind})",
            "does the URL need a login? Its query may hold a token, headers cannot be given",
        )


def _parse(text: str, where: str) -> Url:
    """A URL that may be asked for; raises InvalidDataError that begins with `where`."""
    if not text.isprintable() or " " in text:
        raise InvalidDataError(f"{where}: a URL has no blanks or control characters", SPEC_HINT)
    try:
        url = parse_url(text)
    except LocationParseError as error:
        raise InvalidDataError(f"{where}: this is no URL that can be read", SPEC_HINT) from error
    if url.scheme != "https":
        raise InvalidDataError(f"{where}: {url.scheme}:// is not taken, only https://", SPEC_HINT)
    if url.auth is not None:
        raise InvalidDataError(
            f"{where}: user and password in a URL are not taken; they would be in plain view",
            SPEC_HINT,
        )
    if not url.host:
        raise InvalidDataError(f"{where}: the URL names no host", SPEC_HINT)
    return url


def _stated_name(headers: Mapping[str, str]) -> str:
    """The file name of Content-Disposition, without folders; empty when there is none."""
    message = Message()
    message["Content-Disposition"] = headers.get("Content-Disposition", "")
    return PurePosixPath((message.get_filename() or "").replace("\\", "/")).name
