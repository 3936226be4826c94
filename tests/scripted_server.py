"""An HTTP server that answers as it is told to, mishaps included; for tests of downloads."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    target: str
    """Path and query."""
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """What it gets."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    """The connection breaks after so many bytes of the body."""
    length: bool = True
    """Say in advance how long the body is; otherwise it ends with the connection."""


Script = Reply | list[Reply] | Callable[[Request], Reply]
"""One answer for all, one for each request in turn (the last for all further ones), or one by request."""


class ScriptedServer(ThreadingHTTPServer):
    """Answers by path; what has no script is 404. Counts requests, connections and how many are under way."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, scripts: Mapping[str, Script] | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.scripts: dict[str, Script] = dict(scripts or {})
        self.requests: list[Request] = []
        self.connections = 0
        self.under_way = 0
        self.most_under_way = 0
        self.lock = threading.Lock()
        self._tls = tls
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://localhost:{self.server_port}"

    @property
    def targets(self) -> list[str]:
        return [request.target for request in self.requests]

    def answer(self, request: Request) -> Reply:
        """The scripted reply."""
        with self.lock:
            self.requests.append(request)
            script = self.scripts.get(request.target.partition("?")[0], Reply(status=404))
            if isinstance(script, list):
                script = script.pop(0) if len(script) > 1 else script[0]
        return script if isinstance(script, Reply) else script(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away, or refuse the certificate, are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedServer

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.connections += 1

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.under_way += 1
            self.server.most_under_way = max(self.server.most_under_way, self.server.under_way)
        try:
            reply = self.server.answer(Request(self.path, dict(self.headers.items())))
        finally:
            with self.server.lock:
                self.server.under_way -= 1
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.length:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body[: reply.cut])
        self.close_connection = reply.cut is not None or not reply.length

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Quiet; who wants to know reads `ScriptedServer.requests`."""


def ranged(body: bytes, etag: str = '"1"') -> Callable[[Request], Reply]:
    """A file as good servers have it: versioned by an ETag, sent whole, in part, or not at all."""

    def answer(request: Request) -> Reply:
        headers = {"ETag": etag}
        if request.headers.get("If-None-Match") == etag:
            return Reply(status=304, headers=headers)
        start = request.headers.get("Range", "").removeprefix("bytes=").removesuffix("-")
        if start.isdigit() and request.headers.get("If-Range") == etag:
            spans = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
            return Reply(body[int(start) :], 206, headers | spans)
        return Reply(body, headers=headers)

    return answer
