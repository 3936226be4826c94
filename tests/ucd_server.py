"""A UCD server for tests and demos: `python -m ucd_server --generation new|old --root DIR [--port 11101]`.

Standard library only, so that it runs in any pod that has Python. Serves
    <root>/ucd/{official,customer}/**.json     data sets
    <root>/img/<UC>.jpg                        images
as the two generations of UCD servers do:
    new   GET /ucd/official/{name}, /ucd/customer/{name}; a miss is 200 with a JSON error; ETag and Range
    old   GET /ucd/{name}, folders in a name by `\\` alone; a miss is 404; neither ETag nor Range
    both  GET /file/{UC}.jpg, GET /ucd/check
"""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

PORT = 11101
KINDS = ("official", "customer")
_CHUNK = 1 << 16


class UcdServer(ThreadingHTTPServer):
    """Serves the files below `root`; `generation` is `new` or `old`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, root: Path, generation: str = "new", address: tuple[str, int] = ("127.0.0.1", 0)
    ) -> None:
        super().__init__(address, UcdHandler)
        self.root = root
        self.generation = generation
        self.requests: list[str] = []
        """Targets as they came, in order."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients may go away in the middle of a file."""


class UcdHandler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    server: UcdServer

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        target = urlsplit(self.path).path
        if target == "/ucd/check":
            self.send_json(200, self.names())
        elif (file := self.find(target)) is not None:
            self.send_file(file)
        elif self.server.generation == "new":
            self.send_json(200, {"status": "error", "message": f"no such file: {unquote(target)}"})
        else:
            self.send_json(404, {"detail": "Not Found"})

    def names(self) -> dict[str, list[str]]:
        """The data sets by kind, folders as this generation writes them."""
        separator = "/" if self.server.generation == "new" else "\\"
        found = {}
        for kind in KINDS:
            folder = self.server.root / "ucd" / kind
            paths = sorted(p.relative_to(folder).with_suffix("") for p in folder.rglob("*.json"))
            found[kind] = [separator.join(path.parts) for path in paths]
        return found

    def find(self, target: str) -> Path | None:
        """The file that a path of the API means; None when there is none."""
        match target.split("/", 2)[1:]:
            case ["file", name]:
                return self.beneath("img", unquote(name))
            case ["ucd", rest] if self.server.generation == "new":
                kind, _, name = rest.partition("/")
                return self.beneath(f"ucd/{kind}", f"{unquote(name)}.json") if kind in KINDS else None
            case ["ucd", rest] if "/" not in rest:
                name = unquote(rest).replace("\\", "/")
                found = (self.beneath(f"ucd/{kind}", f"{name}.json") for kind in KINDS)
                return next((file for file in found if file is not None), None)
        return None

    def beneath(self, folder: str, name: str) -> Path | None:
        """The file of that name below a folder of the root, if there is one."""
        base = (self.server.root / folder).resolve()
        path = (base / name).resolve()
        return path if path.is_relative_to(base) and path.is_file() else None

    def send_json(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_file(self, path: Path) -> None:
        """The file; a new server sends only the part asked for, or nothing to who has this version."""
        found = path.stat()
        etag = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
        start = self.range_start(etag, found.st_size)
        has_versions = self.server.generation == "new"
        if has_versions and self.headers.get("If-None-Match") == etag:
            self.send_response(304)
            self.send_header("ETag", etag)
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{found.st_size - 1}/{found.st_size}")
        if has_versions:
            self.send_header("ETag", etag)
            self.send_header("Accept-Ranges", "bytes")
        kind = "application/json" if path.suffix == ".json" else "image/jpeg"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(found.st_size - start))
        self.end_headers()
        self.send_bytes(path, start)

    def range_start(self, etag: str, size: int) -> int:
        """First byte that was asked for, as `bytes=N-` of this very version; 0: the whole file."""
        if self.server.generation != "new" or self.headers.get("If-Range", etag) != etag:
            return 0
        unit, _, span = self.headers.get("Range", "").partition("=")
        start, _, end = span.partition("-")
        return int(start) if unit == "bytes" and start.isdigit() and not end and int(start) < size else 0

    def send_bytes(self, path: Path, start: int) -> None:
        with path.open("rb") as file:
            file.seek(start)
            while chunk := file.read(_CHUNK):
                self.wfile.write(chunk)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Quiet; who wants to know reads `UcdServer.requests`."""


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[None]:
    """Serves in a thread until the block ends."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(prog="ucd_server", description="a UCD server for tests and demos")
    parser.add_argument("--generation", choices=("new", "old"), default="new")
    parser.add_argument("--root", type=Path, required=True, help="folder with ucd/ and img/")
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=PORT)
    options = parser.parse_args()
    server = UcdServer(options.root, options.generation, (options.host, options.port))
    print(f"UCD server ({options.generation}) on port {server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
