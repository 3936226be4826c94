"""What prepare may fetch, in one object: archives at URLs, data sets and images of a UCD server."""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import shutil
import ssl
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from yolo_crds.layout import DataVolume
from yolo_crds.trainer import Fetch

from ..data.parallel import REPORT_SECONDS, Report
from ..data.prepared_set import collect_stale
from ..errors import FetchFailedError, InvalidDataError, volume_errors
from ..volume import TEMPORARY_PREFIX
from .addresses import Gate
from .archives import ArchiveServers, ArchiveUrl, check_archive
from .client import Client, Download, NoAnswerError, NotServedError, Patience, Resource, TooLargeError
from .kept import Slot
from .part import Part
from .ucd_images import STAGE, ImageFetch, Unfetched, fetch_images
from .ucd_server import UcdServer, check_name

logger = logging.getLogger(__name__)

_WAIT_SECONDS = 1.0
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Names of data sets that are file names as they are."""


class Fetcher:
    """Fetches what the installer allowed; without a `fetch` nothing.

    `patience`, `gate` and `tls` replace what the settings ask for. `warnings` collects what the user should
    know although all went on.
    """

    def __init__(
        self,
        volume: DataVolume,
        fetch: Fetch | None,
        report: Report,
        *,
        patience: Patience | None = None,
        gate: Gate | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.warnings: list[str] = []
        self._volume = volume
        self._fetch = fetch or Fetch()
        self._report = report
        self._client = Client(patience)
        self._gate = gate or Gate(self._fetch.archive_hosts)
        self._tls = tls
        self._reported = 0.0

    @property
    def has_server(self) -> bool:
        """Whether there is a UCD server to ask."""
        return self._fetch.ucd_server is not None

    @cached_property
    def _server(self) -> UcdServer:
        assert self._fetch.ucd_server is not None, "callers look at has_server first"
        return UcdServer(self._fetch.ucd_server, self._client, self._fetch.parallel)

    def data_set(self, reference: str, data_field: str) -> Path:
        """The UCD file of the data set that the server knows by this name.

        A server that does not answer is replaced by the copy that an earlier prepare kept, with a warning.
        Raises InvalidDataError for a name that the server does not have or cannot have, FetchFailedError.
        """
        name = check_name(reference, data_field)
        self._report(stage=STAGE)
        slot = Slot(self._volume.fetched / "ucd" / _file_name(name))
        with slot.download(self._wait) as part:
            try:
                path = self._server.refresh(name, slot, part)
            except NoAnswerError as error:
                return self._fall_back(slot, f"{self._server.base}/", f"data set {name}", error)
        logger.info("template.data.%s: %s comes from the UCD server %s", data_field, name, self._server.base)
        return path

    def images(self, codes: Sequence[str]) -> dict[str, Unfetched]:
        """Fetches images into `img_cache`; those that the server does not have, with the reason.

        Raises FetchFailedError when the server does not answer; what has come is kept.
        """
        aside = self._volume.fetched / f"{TEMPORARY_PREFIX}images-{secrets.token_hex(4)}"
        with volume_errors(self._volume.images, "keep images in"):
            aside.mkdir(parents=True)
            self._volume.images.mkdir(exist_ok=True)
        collect_stale(self._volume.fetched)
        self._report(stage=STAGE, batch=0, batches=len(codes))
        one = ImageFetch(self._server, self._client, self._volume.images, aside, self._fetch.max_image_bytes)
        try:
            unfetched = fetch_images(one, codes, self._fetch.parallel, self._report)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        count = len(codes) - len(unfetched)
        logger.info("%d of %d images fetched from the UCD server %s", count, len(codes), self._server.base)
        return unfetched

    def archive(self, reference: str, data_field: str) -> Path:
        """The archive at a URL, fetched now or kept from an earlier prepare and confirmed by its server.

        Raises InvalidDataError for a URL that is not taken or holds no archive, FetchFailedError.
        """
        url = ArchiveUrl.parse(reference, f"template.data.{data_field}")
        if not self._fetch.archives:
            raise InvalidDataError(
                f"{url.field}: {url.shown} is not fetched: archives from the web are not allowed here",
                "put the archive onto the data volume, or have the installer set the chart value "
                "fetch.archives.enabled",
            )
        self._report(stage=STAGE)
        slot = Slot(self._volume.fetched / "archives" / url.key)
        resource = ArchiveServers(self._gate, self._client.patience.timeout, self._tls).resource(url)
        with slot.download(self._wait) as part:
            try:
                return self._take_archive(url, resource, slot, part)
            except NoAnswerError as error:
                return self._fall_back(slot, url.shown, url.shown, error)
            except NotServedError as error:
                raise InvalidDataError(f"{url.field}: {url.shown}: the server answered {error}") from error
            except TooLargeError as error:
                raise InvalidDataError(f"{url.field}: {url.shown}: {error}") from error

    def _take_archive(self, url: ArchiveUrl, resource: Resource, slot: Slot, part: Part) -> Path:
        before = slot.kept()
        known = before.version if before is not None else None
        limit = self._fetch.max_archive_bytes
        found = self._client.download(resource, part, limit, known, self._tell_bytes)
        if found.unchanged and before is not None:
            return slot.confirm(before)
        self._check_archive(url, found, part)
        return slot.keep(part, url.file_name(found.headers), url.shown)

    def _check_archive(self, url: ArchiveUrl, found: Download, part: Part) -> None:
        name = url.file_name(found.headers)
        if not found.delimited:
            raise InvalidDataError(
                f"{url.field}: {url.shown}: the server does not say how long the file is (no Content-Length),"
                " so nobody can tell whether all of it came"
            )
        check_archive(part.read(), name, url, found.headers)

    def _fall_back(self, slot: Slot, origin: str, what: str, error: NoAnswerError) -> Path:
        """The kept copy when a server does not answer; raises FetchFailedError when there is none of it."""
        kept = slot.kept()
        if kept is None or not kept.origin.startswith(origin):
            raise FetchFailedError(f"cannot fetch {what}: {error}") from error
        self.warnings.append(
            f"the server of {what} does not answer ({error}); taken as it last was, {kept.age} ago"
        )
        return kept.path

    def _tell_bytes(self, done: int, total: int | None) -> None:
        """Progress of one large file, in MB, every two seconds."""
        now = time.monotonic()
        if now - self._reported >= REPORT_SECONDS:
            self._reported = now
            percent = round(100 * done / total, 1) if total else None
            self._report(
                stage=STAGE, batch=done >> 20, batches=total >> 20 if total else None, percent=percent
            )

    def _wait(self) -> None:
        """Another prepare fetches the same."""
        self._report(stage=STAGE)
        time.sleep(_WAIT_SECONDS)


def _file_name(name: str) -> str:
    """A data set's name as a file name: itself where that is safe, else with a digest."""
    if _SAFE_NAME.fullmatch(name):
        return name
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", name).lstrip("._-")[:80]
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:10]}"
