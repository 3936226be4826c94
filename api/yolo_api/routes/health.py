"""What kubelet and Prometheus ask; nobody needs a token for it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from ..deps import Services, get_services

router = APIRouter(tags=["health"])
ServicesDep = Annotated[Services, Depends(get_services)]


@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> dict[str, str]:
    """Answers as long as the event loop turns."""
    return {"status": "ok"}


@router.get("/readyz", summary="Are answers current?", responses={503: {"description": "Not (yet) in touch"}})
async def readyz(services: ServicesDep) -> Response:
    """Ready when the trainings were listed and the API server was heard lately, with or without an operator.
    When that last wrote is told in `operator_seen_at`, null while there is nothing for it to do.
    """
    cache = services.trainings.cache
    if cache.fresh:
        seen = {"operator_seen_at": cache.operator_seen_at}
        return JSONResponse({"status": "ok", "cache_age_seconds": round(cache.age, 1), **seen})
    text = "the API server was not heard lately" if cache.synced else "the trainings are not listed yet"
    return JSONResponse({"detail": text, "error": text}, status_code=503)


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
async def metrics(services: ServicesDep) -> Response:
    """Requests, trainings by phase, age of the cache, memory and CPU of the process."""
    return Response(services.metrics.render(), media_type=CONTENT_TYPE_LATEST)
