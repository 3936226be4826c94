"""Answers that are a file."""

import os
from typing import BinaryIO

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.types import Message, Receive, Scope, Send

from .errors import build_error


class OpenFileResponse(FileResponse):
    """Sends a file that is open already, with ranges and ETag: a checkpoint that is published meanwhile under
    the same name does not mix with it. Who has this very file already (If-None-Match) gets 304, who asks for
    a range that is not in it an error in the common form.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        super().__init__(
            f"/proc/self/fd/{file.fileno()}",
            media_type="application/octet-stream",
            filename=name,
            stat_result=os.fstat(file.fileno()),
        )
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if self._is_known(Headers(scope=scope).get("if-none-match", "")):
                unchanged = Response(status_code=304, headers={"etag": self.headers["etag"]})
                await unchanged(scope, receive, send)
            else:
                await self._send_file(scope, receive, send)
        finally:
            self._file.close()

    async def _send_file(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused: Message | None = None
        left = 0

        async def send_unless_refused(message: Message) -> None:
            nonlocal refused, left
            if message["type"] == "http.response.start":
                refused = message if message["status"] >= 400 else None
                left = int(Headers(raw=message["headers"])["content-length"])
            elif message["type"] == "http.response.body" and refused is None:
                # Of a file that grows meanwhile as much as was promised.
                message = {**message, "body": message["body"][:left]}
                left -= len(message["body"])
            if refused is None:
                await send(message)

        await super().__call__(scope, receive, send_unless_refused)
        if refused is not None:
            await self._refuse(refused["status"], Headers(scope=scope)["range"])(scope, receive, send)

    def _refuse(self, status: int, asked: str) -> Response:
        size = self.headers["content-length"]
        if status == 416:
            text = f"Range: {asked!r} does not begin within the file's {size} bytes"
            return build_error(status, text, {"Content-Range": f"bytes */{size}"})
        text = f"Range: {asked!r} is no range of bytes; give one such as bytes=0-{max(int(size) - 1, 0)}"
        return build_error(status, text)

    def _is_known(self, if_none_match: str) -> bool:
        tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
        return "*" in tags or self.headers["etag"] in tags
