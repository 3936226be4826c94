"""Downloads that survive bad networks: time-outs, retries with back-off, resumption, a bound on the size."""

from __future__ import annotations

import logging
import random
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import urllib3
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from .addresses import UnresolvedError
from .part import Part, Version

logger = logging.getLogger(__name__)

_CHUNK = 1 << 16
_PROGRESS = 1 << 20
"""Bytes that make an attempt a fresh start: a line that breaks every few GB must not end a long download."""
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})

Send = Callable[[Mapping[str, str]], BaseHTTPResponse]
"""One request with these headers; the body is unread. Raises urllib3's HTTPError when no answer came."""
OnBytes = Callable[[int, int | None], None]
"""Told as bytes come: how many there are, and how many there will be if the server says so."""


@dataclass(frozen=True)
class Resource:
    """A file on a server."""

    shown: str
    """Its URL as people may see it: without the query, which may be a secret."""
    send: Send


@dataclass(frozen=True)
class Patience:
    """How long and how often a server is asked; seconds."""

    connect: float = 10.0
    read: float = 30.0
    """Between two pieces of an answer."""
    attempts: int = 6
    """In a row with nothing gained."""
    backoff: float = 0.5
    """After the first failure; doubled after each further one, with jitter."""
    backoff_most: float = 30.0
    retry_after_most: float = 120.0
    """A server that asks for a longer pause counts as one that does not answer."""
    slow: float = 60.0
    """From so long on an attempt must keep up `least_rate`."""
    least_rate: float = 1024.0
    """Bytes a second."""

    @property
    def timeout(self) -> urllib3.Timeout:
        return urllib3.Timeout(connect=self.connect, read=self.read)


@dataclass(frozen=True)
class Download:
    """What came of asking for a file."""

    headers: Mapping[str, str]
    unchanged: bool = False
    """The version that was known already; the part is empty."""
    delimited: bool = True
    """The server said where the file ends; otherwise it ended where the connection did, whole or not."""


class NoAnswerError(Exception):
    """A server gave no whole answer, however often it was asked; the sentence says what it did instead."""

    def __init__(self, sentence: str, status: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        """Of the last answer; None: there was none, or it broke off."""


class NotServedError(Exception):
    """A server's final answer is not the file but this status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


class TooLargeError(Exception):
    """A file is larger than is taken; nothing of it is kept."""


class _AgainError(Exception):
    """This attempt failed and another one may not."""

    def __init__(self, why: str, status: int | None = None, wait: float | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.wait = wait


class Client:
    """Downloads files; may be used by several threads at once."""

    def __init__(self, patience: Patience | None = None) -> None:
        self.patience = patience or Patience()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Ends all waiting: downloads under way fail at their next step."""
        self._stopped.set()

    def download(
        self,
        resource: Resource,
        part: Part,
        limit: int,
        known: Version | None = None,
        on_bytes: OnBytes | None = None,
    ) -> Download:
        """Fetches a file into `part`, going on where that stands; with a `known` version only if it changed.

        Raises NoAnswerError, NotServedError, TooLargeError beyond `limit` bytes, what `part` raises, and
        what `resource.send` raises besides urllib3's errors.
        """
        part.begin(resource.shown)
        failures = 0
        while not self._stopped.is_set():
            before = part.size
            try:
                return self._attempt(resource, part, limit, known or Version(), on_bytes)
            except _AgainError as error:
                failures = 1 if part.size - before >= _PROGRESS else failures + 1
                pause = self._pause(failures, error)
                if failures >= self.patience.attempts or pause is None:
                    times = f" ({failures} times)" if failures > 1 else ""
                    raise NoAnswerError(f"{error}{times}", error.status) from error
                logger.info("%s: %s; asked again in %.1f s", resource.shown, error, pause)
                self._stopped.wait(pause)
        raise NoAnswerError("it is no longer asked")

    def _pause(self, failures: int, error: _AgainError) -> float | None:
        """Seconds until the next attempt; None when the server wants too many."""
        if error.wait is not None:
            return error.wait if error.wait <= self.patience.retry_after_most else None
        most = min(self.patience.backoff_most, self.patience.backoff * 2 ** (failures - 1))
        return random.uniform(most / 2, most)  # noqa: S311 - no secret

    def _attempt(
        self,
        resource: Resource,
        part: Part,
        limit: int,
        known: Version,
        on_bytes: OnBytes | None,
    ) -> Download:
        headers = {"Accept-Encoding": "identity", "User-Agent": user_agent()}
        if part.size and part.version.if_range:
            headers |= {"Range": f"bytes={part.size}-", "If-Range": part.version.if_range}
        else:
            headers |= known.conditions
        try:
            response = resource.send(headers)
            try:
                if response.status == 304 and known.conditions and not part.size:
                    return Download(response.headers, unchanged=True)
                total = self._begin(response, part)
                self._receive(response, part, limit, total, on_bytes)
            finally:
                response.close()  # a body that was not read to its end must not be taken for the next answer
                response.release_conn()  # its place in the pool, for another connection
        except HTTPError as error:
            raise _again(error, self.patience) from error
        if total is not None and part.size != total:
            raise _AgainError(f"the answer ended after {part.size} of {total} bytes")
        chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
        return Download(response.headers, delimited=total is not None or chunked)

    def _begin(self, response: BaseHTTPResponse, part: Part) -> int | None:
        """Makes `part` fit the answer that begins; how long the whole file will be, if the server says so."""
        match response.status:
            case 200:
                part.restart(Version.of(response.headers))
                length = response.headers.get("Content-Length", "")
                return int(length) if length.isdigit() else None
            case 206 if (span := _content_range(response.headers)) and span[0] == part.size:
                if not part.version.contradicts(Version.of(response.headers)):
                    return span[1]
                part.restart(Version())
                raise _AgainError("the file changed meanwhile", response.status)
            case 206 | 416:
                part.restart(Version())
                raise _AgainError("the server sent another part than was asked for", response.status)
            case status if status in _TRANSIENT:
                raise _AgainError(f"HTTP {status}", status, _retry_after(response.headers))
            case status:
                raise NotServedError(status)

    def _receive(
        self,
        response: BaseHTTPResponse,
        part: Part,
        limit: int,
        total: int | None,
        on_bytes: OnBytes | None,
    ) -> None:
        if total is not None and total > limit:
            part.restart(Version())
            raise TooLargeError(f"{total} bytes are more than the {limit} that are taken")
        started, first = time.monotonic(), part.size
        while chunk := response.read1(_CHUNK):
            if part.size + len(chunk) > limit:  # whatever the server had announced
                part.restart(Version())
                raise TooLargeError(f"there are more than the {limit} bytes that are taken")
            part.write(chunk)
            if on_bytes is not None:
                on_bytes(part.size, total)
            spent = time.monotonic() - started
            if spent > self.patience.slow and part.size - first < self.patience.least_rate * spent:
                raise _AgainError(f"too slow: {part.size - first} bytes in {spent:.0f} s")
            if self._stopped.is_set():
                raise _AgainError("stopped")


def tls_context() -> ssl.SSLContext:
    """Verifies servers by the system's authorities (or those of SSL_CERT_FILE)."""
    return ssl.create_default_context()


@cache
def user_agent() -> str:
    """How requests introduce themselves."""
    try:
        return f"yolo-operator/{version('yolo-operator')}"
    except PackageNotFoundError:  # in the image the code is copied, not installed
        return "yolo-operator"


def _again(error: HTTPError, patience: Patience) -> _AgainError | NoAnswerError:
    """A failed request in the words of a person; a certificate that is not trusted will not be next time."""
    match error:
        case UnresolvedError() | NameResolutionError():
            return _AgainError("the host's name has no address")
        case NewConnectionError():
            cause = error.__cause__
            detail = cause.strerror if isinstance(cause, OSError) and cause.strerror else "no connection"
            return _AgainError(detail.lower())
        case ConnectTimeoutError():
            return _AgainError(f"no connection within {patience.connect:g} s")
        case ReadTimeoutError():
            return _AgainError(f"nothing came for {patience.read:g} s")
        case SSLError(args=[ssl.SSLCertVerificationError() as cause, *_]):
            return NoAnswerError(f"its certificate is not trusted: {cause.verify_message}")
        case SSLError():
            return _AgainError("no TLS connection")
        case ProtocolError():
            return _AgainError("the connection broke off")
    return _AgainError(type(error).__name__)


def _content_range(headers: Mapping[str, str]) -> tuple[int, int | None] | None:
    """First byte and whole length of `bytes 5-9/10`; None for anything else."""
    unit, _, span = headers.get("Content-Range", "").partition(" ")
    first, _, length = span.replace("-", "/", 1).partition("/")
    length = length.rpartition("/")[2]
    if unit.lower() != "bytes" or not first.isdigit():
        return None
    return int(first), int(length) if length.isdigit() else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait: a number, or a date."""
    text = headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
