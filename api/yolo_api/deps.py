"""What routes get handed in: services, the checked model name, and the guards of a call."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, cast

from anyio.to_thread import run_sync
from fastapi import Depends, Path, Request

from yolo_crds.meta import normalize_model_name

from .auth import Access, authorize
from .errors import ForbiddenError, InvalidFieldsError, MethodDisabledError
from .gpus import Gpus
from .kube import Verb
from .metrics import Metrics
from .runs import is_component
from .settings import Settings
from .trainings import Trainings

ALL_MODELS = "*"


@dataclass(frozen=True)
class Services:
    """All that a running façade consists of."""

    settings: Settings
    trainings: Trainings
    access: Access
    metrics: Metrics
    gpus: Gpus


def get_services(request: Request) -> Services:
    return cast("Services", request.app.state.services)


def get_trainings(request: Request) -> Trainings:
    return get_services(request).trainings


def get_gpus(request: Request) -> Gpus:
    return get_services(request).gpus


def may(verb: Verb) -> Callable[[Request], Awaitable[None]]:
    """A guard of old paths: the caller may do `verb` with trainings, or the paths are open to it."""

    async def guard(request: Request) -> None:
        await authorize(request, get_services(request).access, verb)

    return guard


async def refuse_foreign_pages(request: Request) -> None:
    """A guard of what changes things: no page of another site may do it in a user's browser, and no GET
    of a browser that only looks ahead.
    """
    if request.headers.get("sec-fetch-site") == "cross-site":
        raise ForbiddenError("a page of another site may not call this; open or call it directly")
    if request.method != "GET":
        return
    if not get_services(request).settings.legacy_destructive_get:
        raise MethodDisabledError(f"GET {request.url.path} is switched off here; use POST or DELETE")
    ahead = [request.headers.get(name, "") for name in ("sec-purpose", "purpose", "x-moz")]
    if any("prefetch" in value or "prerender" in value for value in ahead):
        raise ForbiddenError("a browser's prefetch may not call this")


async def check_model(request: Request, model: Annotated[str, Path(description="Name of the model")]) -> str:
    """The model name of a path: one that is allowed, or that of a folder that was adopted with the volume."""
    try:
        return normalize_model_name(model)
    except ValueError as error:
        runs = get_trainings(request).runs
        if is_component(model) and await run_sync(runs.is_known, model):
            return model
        raise InvalidFieldsError([("model_name", str(error))]) from None


async def check_models(request: Request, model: Annotated[str, Path(description="Name, or `*`")]) -> str:
    """As `check_model`, or `*` for all models."""
    return model if model == ALL_MODELS else await check_model(request, model)


TrainingsDep = Annotated[Trainings, Depends(get_trainings)]
GpusDep = Annotated[Gpus, Depends(get_gpus)]
ModelName = Annotated[str, Depends(check_model)]
ModelNameOrAll = Annotated[str, Depends(check_models)]
