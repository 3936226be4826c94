"""Answers that are a file."""

import os
from typing import BinaryIO

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send


class OpenFileResponse(FileResponse):
    """Sends a file that is open already, with ranges and ETag: a checkpoint that is published meanwhile under
    the same name does not mix with it. Who has this very file already (If-None-Match) gets 304.
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
                await super().__call__(scope, receive, send)
        finally:
            self._file.close()

    def _is_known(self, if_none_match: str) -> bool:
        tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
        return "*" in tags or self.headers["etag"] in tags
