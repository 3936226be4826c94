"""What the agent serves: the report, its health and metrics. Everything is a read; nobody needs a token."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from anyio.to_thread import run_sync
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from yolo_crds.gpus import REPORT_PATH, Gap, NodeReport

from .metrics import render
from .nvml import Nvml
from .sampler import FRESH_SECONDS, Sampler, take_report
from .settings import Settings
from .xids import XidListener


def to_health(report: NodeReport) -> dict[str, object]:
    """Why there are no GPUs or no holders, for a person."""
    return {
        "status": "ok",
        "gpus": len(report.gpus),
        "reason": report.gap,
        "message": report.message,
        "holders": report.holders_message or "known",
        "age_seconds": round(report.age, 1),
    }


def create_app(settings: Settings, fresh: float = FRESH_SECONDS) -> Starlette:
    """The agent of one node; a report of up to `fresh` seconds is given out again."""
    xids = XidListener()
    nvml = Nvml(xids)
    sampler = Sampler(
        settings.node,
        lambda: take_report(settings.node, nvml, settings.pod_resources_socket),
        close=nvml.close,
        fresh=fresh,
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        xids.start()
        sampler.start()
        yield
        await run_sync(sampler.stop)
        await run_sync(xids.stop)

    async def gpus(_: Request) -> Response:
        report = await run_sync(sampler.report)
        return JSONResponse(report.model_dump(mode="json", by_alias=True))

    async def healthz(_: Request) -> Response:
        return JSONResponse(to_health(sampler.last()))

    async def livez(_: Request) -> Response:
        """The runtime brings the library in as a container starts: after an upgrade only a new one helps."""
        report = sampler.last()
        if report.gap == Gap.VERSION_MISMATCH:
            return JSONResponse(to_health(report) | {"status": "outdated"}, status_code=503)
        return JSONResponse(to_health(report))

    async def metrics(_: Request) -> Response:
        report = await run_sync(sampler.report)
        return Response(render(report), media_type=CONTENT_TYPE_LATEST)

    routes = [
        Route(REPORT_PATH, gpus),
        Route("/healthz", healthz),
        Route("/livez", livez),
        Route("/metrics", metrics),
    ]
    return Starlette(routes=routes, lifespan=lifespan)
