"""What the operator serves over HTTP: its metrics and its health, each on a port of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from yolo_crds.listening import bind

from .metrics import Metrics
from .resync import UnhealthyError

Handler = Callable[[web.Request], web.Response]


def answer_metrics(metrics: Metrics) -> Handler:
    """What Prometheus scrapes."""

    def answer(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(metrics.registry), headers={"Content-Type": content_type})

    return answer


def answer_health(check: Callable[[], None]) -> Handler:
    """What the kubelet asks: 503 as soon as `check` raises UnhealthyError."""

    def answer(_: web.Request) -> web.Response:
        try:
            check()
        except UnhealthyError as error:
            return web.json_response({"watches": str(error)}, status=503)
        return web.json_response({"watches": "alive"})

    return answer


@asynccontextmanager
async def serving(port: int, path: str, answer: Handler) -> AsyncIterator[None]:
    """Serves one path meanwhile, on all of the pod's addresses; port 0 serves nothing.

    Raises ListenError.
    """
    if not port:
        yield
        return

    async def handle(request: web.Request) -> web.Response:
        return answer(request)

    app = web.Application()
    app.router.add_get(path, handle)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=1.0, access_log=None)
    await runner.setup()
    try:
        await web.SockSite(runner, bind("", port)).start()
        yield
    finally:
        await runner.cleanup()
