"""Around every request: a line in the log, a measurement, a bound, and a net for what nobody foresaw."""

import logging
import time

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import build_unexpected
from .metrics import Metrics

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 1 << 20
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})


class AccessLog:
    """ASGI middleware: logs and measures each request, and answers in the error form when a route fails."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        status = 0

        async def watched_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except Exception as error:
            answer = build_unexpected(error, scope["path"])
            if status:  # half an answer is out: the connection has to break for the client to notice
                raise
            await answer(scope, receive, watched_send)
        finally:
            _record(scope, status, time.monotonic() - started)


def _record(scope: Scope, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", "none")
    metrics: Metrics = scope["app"].state.services.metrics
    metrics.observe(scope["method"], route, status, seconds)
    client = scope.get("client")
    logger.log(
        logging.DEBUG if route in _QUIET else logging.INFO,
        "request",
        extra={
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "milliseconds": round(seconds * 1000, 1),
            "client": client[0] if client else None,
        },
    )


class BodyLimit:
    """ASGI middleware: refuses bodies that no call has, before they are in memory."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        left = MAX_BODY_BYTES

        async def bounded_receive() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise HTTPException(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
            return message

        await self._app(scope, bounded_receive, send)
