"""Requests to the API server: one pool of connections, time-outs, and another try where that helps."""

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject

from .errors import SERVER_ERROR, TOO_MANY, UNAUTHORIZED, KubeError, to_error

Manifest = dict[str, Any]
Verb = Literal["GET", "POST", "PATCH", "DELETE"]

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

CONNECT_SECONDS = 5.0
PAGE = 500
"""Objects of a list that are asked for at a time."""
_WAIT_FIRST, _WAIT_MOST = 0.5, 8.0


@dataclass(frozen=True)
class Patience:
    """How long to wait for an answer, in seconds, and how often to ask."""

    seconds: float = 30.0
    tries: int = 5


@dataclass(frozen=True)
class Page:
    """A part of a list."""

    items: list[Manifest]
    resource_version: str
    """Of the whole list."""


@dataclass(frozen=True)
class WatchEvent:
    """One line of a watch."""

    kind: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Manifest


class Connection:
    """The API server as one caller may reach it.

    heard: is told each answer: verb, `resource` of the call, HTTP status (0: none came).
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        configuration: Configuration,
        *,
        patience: Patience = Patience(),
        heard: Callable[[str, str, int], None] | None = None,
    ) -> None:
        self._session = session
        self._configuration = configuration
        self._host = configuration.host.rstrip("/")
        self._patience = patience
        self._heard = heard or (lambda *_: None)

    async def call(self, verb: Verb, path: str, resource: str, **options: Any) -> Manifest:
        """As `request`; the object that was answered."""
        found: Manifest = json.loads(await self.request(verb, path, resource, **options))
        return found

    async def request(
        self,
        verb: Verb,
        path: str,
        resource: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: object = None,
        content_type: str = JSON,
        accept: str = JSON,
        patience: Patience | None = None,
        repeatable: bool = True,
    ) -> bytes:
        """The answer's body.

        What was refused for load (429) or for an expired token (401) was not carried out, and is tried again.
        Of a 5xx or a lost answer nobody knows: it is tried again if the request is `repeatable`, that is if a
        second one does no harm and finds out what became of the first. Raises KubeError.
        """
        patience = patience or self._patience
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        headers = {"Accept": accept, "Content-Type": content_type}
        for attempt in range(1, patience.tries + 1):
            wait = min(_WAIT_MOST, _WAIT_FIRST * 2 ** (attempt - 1)) * random.uniform(0.5, 1)  # noqa: S311
            try:
                response = await self._send(verb, path, query, data, headers, patience.seconds)
                async with response:
                    answer = await response.read()
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                code, failed = 0, KubeError(0, f"the API server does not answer: {_describe(error)}")
            else:
                code = response.status
                if code < 400:
                    self._heard(verb, resource, code)
                    return answer
                failed = to_error(code, answer)
                wait = max(wait, _retry_after(response.headers))
            self._heard(verb, resource, code)
            undone = code in {TOO_MANY, UNAUTHORIZED}
            unknown = (code == 0 or code >= SERVER_ERROR) and repeatable
            if attempt == patience.tries or not (undone or unknown):
                raise failed
            await asyncio.sleep(wait)
        raise AssertionError("unreachable")

    async def pages(
        self,
        path: str,
        resource: str,
        query: Mapping[str, str] | None = None,
        *,
        accept: str = JSON,
        patience: Patience | None = None,
    ) -> AsyncIterator[Page]:
        """A list, part by part. Raises KubeError, and GoneError where the rest is not to be had any more."""
        asked: dict[str, str | int] = {**(query or {}), "limit": PAGE}
        while True:
            page = await self.call("GET", path, resource, query=asked, accept=accept, patience=patience)
            metadata = page["metadata"]
            yield Page(page["items"] or [], str(metadata["resourceVersion"]))  # no metadata at all is null
            if not (more := metadata.get("continue")):
                return
            asked["continue"] = more

    async def watch(
        self, path: str, resource: str, version: str, query: Mapping[str, str] | None = None, *, seconds: int
    ) -> AsyncIterator[WatchEvent]:
        """Changes since `version` until the server ends the watch, after `seconds` at the latest.

        Raises GoneError where the history does not reach back so far, and other KubeErrors.
        """
        asked = {
            **(query or {}),
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        try:
            response = await self._send("GET", path, asked, None, {"Accept": JSON}, seconds + 15.0)
            async with response:
                self._heard("WATCH", resource, response.status)
                if response.status != 200:
                    raise to_error(response.status, await response.read())
                async for line in _lines(response.content):
                    yield _to_event(json.loads(line))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise KubeError(0, f"the watch broke off: {_describe(error)}") from error

    async def _send(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str | int] | None,
        data: bytes | None,
        headers: dict[str, str],
        seconds: float,
    ) -> aiohttp.ClientResponse:
        # Asked each time: within a pod it reads the token anew once a minute.
        if token := await self._configuration.get_api_key_with_prefix("BearerToken"):
            headers = {**headers, "Authorization": token}
        return await self._session.request(
            verb,
            f"{self._host}{path}",
            params=query,
            data=data,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS),
            server_hostname=self._configuration.tls_server_name,
            proxy=self._configuration.proxy,
            proxy_headers=self._configuration.proxy_headers,
        )


async def load_configuration() -> Configuration:
    """The pod's service account, or outside of a cluster the user's kubeconfig. Raises ConfigException."""
    configuration = Configuration()
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    else:
        await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    return configuration


@asynccontextmanager
async def open_connection(
    configuration: Configuration, user_agent: str, **options: Any
) -> AsyncIterator[Connection]:
    """A connection that is open within the context; `options` are those of `Connection`.

    The session is a plain one: that of `ApiClient` looks the user's netrc up for each request, in a thread.
    """
    rest = RESTClientObject(configuration)  # for its TLS alone
    # Without a bound: callers bound what they ask at a time, and each watch holds a connection.
    connector = aiohttp.TCPConnector(limit=0, ssl=rest.ssl_context)
    # Within a cluster packing costs both sides more than the network.
    headers = {"Accept-Encoding": "identity", "User-Agent": user_agent}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        yield Connection(session, configuration, **options)


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length: a reader's own are bounded, and an object may have a megabyte."""
    rest = b""
    async for chunk in content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line
    if rest.strip():
        yield rest


def _to_event(line: Manifest) -> WatchEvent:
    if line["type"] == "ERROR":
        raise to_error(int(line["object"].get("code") or SERVER_ERROR), line["object"])
    return WatchEvent(line["type"], line["object"])


def _describe(error: BaseException) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else str(error) or repr(error)


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that the server asks to wait, at most so many as we would wait ourselves."""
    said = headers.get("Retry-After", "")
    return min(float(said), _WAIT_MOST) if said.isdecimal() else 0.0
