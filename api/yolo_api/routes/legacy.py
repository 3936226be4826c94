"""The old server's calls: same paths, same bodies, the union of what was documented and what was sent."""

from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Body, Depends, Request
from fastapi.responses import FileResponse, JSONResponse
from fastapi.security import HTTPBearer

from .. import examples, logs
from ..auth import authorize
from ..deps import (
    ALL_MODELS,
    GpusDep,
    ModelName,
    ModelNameOrAll,
    TrainingsDep,
    get_services,
    may,
    refuse_foreign_pages,
)
from ..downloads import OpenFileResponse
from ..models import list_model_types
from ..schemas import (
    CacheInfo,
    ClearedAnswer,
    ErrorAnswer,
    GpuInfo,
    InfoAnswer,
    Message,
    ModelStatus,
    NamesAnswer,
    StartAnswer,
    StartRequest,
    StatusAnswer,
    TrainInfo,
    TypesAnswer,
)
from ..status import to_overview, to_stage

READ = [Depends(may("get"))]
LIST = [Depends(may("list"))]
STOP = [Depends(refuse_foreign_pages), Depends(may("patch"))]
CLEARING = "Delete a training and its run folder"
CLEAR = [Depends(refuse_foreign_pages), Depends(may("delete"))]


def errors(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a call, for its description."""
    return {code: {"model": ErrorAnswer} for code in (401, 403, *codes, 422, 503)}


_BEARER = HTTPBearer(
    auto_error=False,
    description="A token of the cluster. None is needed where the installer opened the calls.",
)
"""For the description alone; who may do what is decided by `READ` and the others."""
router = APIRouter(tags=["legacy"], responses=errors(), dependencies=[Depends(_BEARER)])


@router.post(
    "/start",
    summary="Start a training, or go on with one",
    response_model=StartAnswer,
    responses=errors(409, 413) | examples.answer(examples.STARTED),
    dependencies=[Depends(refuse_foreign_pages), Depends(may("create"))],
)
async def start(
    request: Request,
    body: Annotated[StartRequest, Body(openapi_examples=examples.START)],
    trainings: TrainingsDep,
) -> Any:
    """Creates the training; with `continue_train` goes on from the model's last checkpoint, with these
    options. A name whose run folder exists, or that is running, needs `continue_train` or gets 409.
    """
    if body.continue_train:
        await authorize(request, get_services(request).access, "patch")
    entry = await trainings.start(body)
    return {
        "message": "Training started",
        "safe_code": {body.model_name: entry.uid},
        "model_name": body.model_name,
        "warnings": entry.view["warnings"],
    }


@router.get(
    "/status",
    summary="All trainings",
    response_model=StatusAnswer,
    responses=examples.answer(examples.STATUS),
    dependencies=LIST,
)
async def status(trainings: TrainingsDep) -> JSONResponse:
    """`Running` names every training that has not ended; those of them that do not train yet are under
    `Pending` as well. `models` tells phase, reason, progress, metrics and warnings of each.
    """
    entries = await trainings.cache.listed()
    return JSONResponse(to_overview([(entry.shown_name, entry.phase, entry.view) for entry in entries]))


@router.get(
    "/status/{model}",
    summary="One training",
    response_model=ModelStatus,
    responses=errors(404) | examples.answer(examples.STATUS_OF_ONE),
    dependencies=READ,
)
async def status_of_one(model: ModelName, trainings: TrainingsDep) -> JSONResponse:
    """Its entry of `models` in `/status`. A training that another replica has just started is found too."""
    return JSONResponse((await trainings.require_training(model)).view)


@router.get(
    "/terminate/{model}",
    summary="End a training",
    response_model=Message,
    responses=errors(404, 405, 409),
    dependencies=STOP,
)
@router.post("/terminate/{model}", summary="End a training", response_model=Message, dependencies=STOP)
@router.delete("/terminate/{model}", summary="End a training", response_model=Message, dependencies=STOP)
async def terminate(model: ModelName, trainings: TrainingsDep) -> Any:
    """Answers when its pods are gone, at the latest after 20 seconds. What is not running gets 409.
    The last checkpoint stays, for `continue_train`.
    """
    await trainings.terminate(model)
    return {"message": "Process terminated"}


@router.get(
    "/train_info/{model}",
    summary="Logs and arguments",
    response_model=TrainInfo,
    responses=errors(404),
    dependencies=READ,
)
async def train_info(model: ModelName, trainings: TrainingsDep) -> JSONResponse:
    """Lines of the training's output, arguments and errors; null where there is no such file yet. Of a large
    output: the first 64 KiB, all `* start train i/N` lines, the last 1 MiB. Of the errors: 3,000 bytes.
    """
    await trainings.require_known(model)
    return JSONResponse(
        {
            "train_log_std": await run_sync(trainings.runs.read_log, model),
            "opt_yaml": await run_sync(trainings.runs.read_arguments, model),
            "train_log_err": await run_sync(trainings.runs.read_errors, model),
        }
    )


@router.get(
    "/clear_train_cache/{model}",
    summary=CLEARING,
    response_model=ClearedAnswer,
    responses=errors(404, 405),
    dependencies=CLEAR,
)
@router.post("/clear_train_cache/{model}", summary=CLEARING, response_model=ClearedAnswer, dependencies=CLEAR)
@router.delete(
    "/clear_train_cache/{model}", summary=CLEARING, response_model=ClearedAnswer, dependencies=CLEAR
)
async def clear_train_cache(model: ModelNameOrAll, trainings: TrainingsDep) -> Any:
    """Deletes logs, checkpoints and the training itself; the name is free afterwards. `*` means every model
    that is not running. What runs is listed under `clear_cache_failed`, and nothing of it is deleted.
    """
    cleared = await (trainings.clear_all() if model == ALL_MODELS else trainings.clear(model))
    return {
        "message": f"Cleared {len(cleared.success)} of {len(cleared.success) + len(cleared.failed)}",
        "clear_cache_success": cleared.success,
        "clear_cache_failed": cleared.failed,
    }


@router.get("/cache_info", summary="Run folders", response_model=CacheInfo, dependencies=LIST)
async def cache_info(trainings: TrainingsDep) -> Any:
    """Names of the models that have logs (`train_info`) and results (`train`) on the run volume."""
    return {kind: await run_sync(trainings.runs.names, kind) for kind in ("train_info", "train")}


@router.head("/download_model/{model}/weights/{file}", include_in_schema=False, dependencies=READ)
@router.get(
    "/download_model/{model}/weights/{file}",
    summary="Download a checkpoint",
    response_class=FileResponse,
    responses=errors(404),
    dependencies=READ,
)
async def download_model(model: ModelName, file: str, trainings: TrainingsDep) -> FileResponse:
    """`file` is `last.pt` or `best.pt`. Ranges and ETags work, so a broken download can be resumed."""
    return OpenFileResponse(await run_sync(trainings.runs.open_checkpoint, model, file), file)


@router.get("/gpu_info", summary="GPUs", response_model=list[GpuInfo], dependencies=LIST)
@router.get("/get_gpu_info", summary="GPUs", response_model=list[GpuInfo], dependencies=LIST)
async def gpu_info(gpus: GpusDep) -> list[GpuInfo]:
    """Each GPU and who holds it; empty where there are none. Without agents on the nodes: the GPUs that pods
    of this namespace were given, as `source: requests`.
    """
    return await gpus.rows()


@router.get(
    "/get_model_name_has_cahce",
    summary="Names that have a run folder",
    response_model=NamesAnswer,
    dependencies=LIST,
)
async def model_names_with_cache(trainings: TrainingsDep) -> Any:
    """The misspelt path is the old server's."""
    return {"status": "success", "model_name_list": await run_sync(trainings.runs.names, "train")}


@router.get(
    "/get_model_name_in_training",
    summary="Names of trainings that have not ended",
    response_model=NamesAnswer,
    dependencies=LIST,
)
async def model_names_in_training(trainings: TrainingsDep) -> Any:
    """The same names as `Running` in `/status`."""
    entries = await trainings.cache.listed()
    return {
        "status": "success",
        "model_name_list": [entry.shown_name for entry in entries if not entry.settled],
    }


@router.get(
    "/get_train_process/{model}",
    summary="How far a training is",
    response_model=InfoAnswer,
    responses=errors(404),
    dependencies=READ,
)
async def train_process(model: ModelName, trainings: TrainingsDep) -> Any:
    """One line: `i/N` (epoch of epochs), or before the first epoch the stage."""
    entry = await trainings.require_known(model)
    lines = await run_sync(trainings.runs.read_log, model)
    return {
        "status": "success",
        "info": to_stage(entry.view if entry else None, logs.last_epoch(lines or [])),
    }


@router.get(
    "/get_train_detail/{model}",
    summary="Log lines",
    response_model=InfoAnswer,
    responses=errors(404),
    dependencies=READ,
)
async def train_detail(model: ModelName, trainings: TrainingsDep) -> JSONResponse:
    """The lines of `train_log_std` in `/train_info`."""
    await trainings.require_known(model)
    lines = await run_sync(trainings.runs.read_log, model)
    return JSONResponse({"status": "success", "info": lines or []})


@router.get(
    "/get_train_param/{model}",
    summary="Arguments",
    response_model=InfoAnswer,
    responses=errors(404),
    dependencies=READ,
)
async def train_param(model: ModelName, trainings: TrainingsDep) -> Any:
    """The lines of `opt_yaml` in `/train_info`."""
    await trainings.require_known(model)
    return {"status": "success", "info": await run_sync(trainings.runs.read_arguments, model) or []}


@router.get(
    "/get_model_type", summary="Models that can be trained", response_model=TypesAnswer, dependencies=LIST
)
async def model_types() -> Any:
    """Values for `model_type`; besides these any checkpoint below the weights folder."""
    return {"status": "success", "model_type_list": list_model_types()}
