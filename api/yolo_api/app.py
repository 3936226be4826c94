"""The application: services, routes, error form."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from fastapi import FastAPI

from .auth import Access
from .cache import TrainingCache
from .data import DataAdvice
from .deps import Services
from .errors import install_error_handlers
from .gpu_agents import AgentClient
from .gpus import Gpus
from .kube import Kube, connect
from .metrics import Metrics
from .middleware import AccessLog, BodyLimit
from .routes import docs, health, legacy
from .routes import help as help_page
from .runs import RunVolume
from .settings import Settings
from .trainings import Trainings

_DESCRIPTION = """\
The calls of the older YOLO training server, on a cluster that finds each training its place.

Errors have proper HTTP codes and the body `{"detail": "...", "error": "..."}` (the same text twice); wrong
fields are listed under `errors`.
"""


def build_services(settings: Settings, kube: Kube, cache: TrainingCache) -> Services:
    """Puts the parts together."""
    trainings = Trainings(
        kube,
        cache,
        RunVolume(settings.runs_dir),
        DataAdvice(settings.data_dir, settings.fetch),
        settings.default_resources,
    )
    agents = AgentClient(settings.gpu_agents) if settings.gpu_agents else None
    gpus = Gpus(agents, kube, settings.namespace, cache.model_name)
    return Services(settings, trainings, Access(kube, settings), Metrics(cache), gpus)


@contextlib.asynccontextmanager
async def _running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """The work goes on beside what is done within."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def create_app(settings: Settings, kube: Kube | None = None) -> FastAPI:
    """The façade. Without `kube` it connects when it starts; with it, that is used and left open."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            client = kube
            if client is None:
                client = await stack.enter_async_context(connect(settings.namespace))
            cache = TrainingCache(client)
            app.state.services = services = build_services(settings, client, cache)
            services.trainings.collect()
            for work in (cache.run(), services.gpus.run()):
                await stack.enter_async_context(_running(work))
            yield

    app = FastAPI(
        title="YOLO training",
        summary="Start, watch and end YOLO trainings over HTTP",
        description=_DESCRIPTION,
        version="0.1.0",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's page loads scripts from a CDN; routes/docs.py does not
        redoc_url=None,
        # Some old clients send JSON without a Content-Type. Foreign pages are refused in deps.py.
        strict_content_type=False,
    )
    app.add_middleware(BodyLimit)
    app.add_middleware(AccessLog)
    install_error_handlers(app)
    for routes in (health.router, help_page.router, docs.router, legacy.router):
        app.include_router(routes)
    return app
