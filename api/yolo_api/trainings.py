"""What the calls do with trainings: start, go on, end, clear."""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from anyio.to_thread import run_sync

from yolo_crds.meta import object_name
from yolo_crds.models import EarlierRun, parse_earlier_run
from yolo_crds.schema import nearest
from yolo_kube.connection import Manifest

from .cache import Entry, TrainingCache
from .convert import to_manifest, to_patch
from .data import DataAdvice
from .errors import (
    ConflictError,
    InvalidFieldsError,
    MissingFileError,
    UnknownModelError,
)
from .hyp_arguments import lift_arguments
from .kube import Kube
from .kube_errors import AlreadyExistsError, NotFoundError, StaleError
from .models import to_model
from .room import advise, fit_defaults
from .room_reader import RoomReader
from .runs import RunVolume
from .schemas import StartRequest

logger = logging.getLogger(__name__)

TERMINATE_SECONDS = 20.0
"""Old scripts call terminate, clear and start in a row and do not expect to wait longer."""
_POLL_SECONDS = 1.0
_NAMES_MAX = 2000
"""So many names are looked through for what was meant: about 20 ms."""
_WAYS_ON = "clear it with /clear_train_cache, or go on from its last checkpoint with continue_train"


@dataclass(frozen=True)
class Cleared:
    """What became of each model that was to be cleared."""

    success: list[str]
    failed: dict[str, str]


class Trainings:
    """The trainings of one namespace and their run folders."""

    def __init__(
        self,
        kube: Kube,
        cache: TrainingCache,
        runs: RunVolume,
        data: DataAdvice,
        resources: Mapping[str, str],
    ) -> None:
        self.cache = cache
        self.runs = runs
        self._kube = kube
        self._data = data
        self._resources = resources
        self._room = RoomReader(kube)
        self._collecting: set[asyncio.Task[None]] = set()

    async def find(self, model: str) -> Entry | None:
        """The training of a model name, if there is one."""
        name = _object_name(model)
        return _of_model(await self.cache.find(name), model) if name else None

    async def require_known(self, model: str) -> Entry | None:
        """The training; None for a model that has folders only. Raises UnknownModelError."""
        if await run_sync(self.runs.is_known, model):
            return _of_model(self.cache.peek(_object_name(model) or ""), model)
        if entry := await self.find(model):
            return entry
        raise await run_sync(self._unknown, model)

    async def require_training(self, model: str) -> Entry:
        """The training. Raises UnknownModelError, for a model that has folders only too."""
        if entry := await self.find(model):
            return entry
        if await run_sync(self.runs.is_known, model):
            raise UnknownModelError(
                f"{model!r} has a run folder and no training; /train_info/{model} shows it"
            )
        raise await run_sync(self._unknown, model)

    async def start(self, request: StartRequest) -> Entry:
        """Creates the training, or makes it go on; what `POST /start` does.

        Raises ConflictError when the name is taken, InvalidFieldsError for what cannot be trained.
        """
        request = lift_arguments(request)
        model, name = request.model_name, object_name(request.model_name)
        entry = await self.cache.find(name) if request.continue_train else self.cache.peek(name)
        if entry:
            entry = await self.cache.look(name)
        if request.continue_train:
            if entry:
                return await self._continue(entry, request)
        elif entry:
            raise _taken(entry, model)
        elif await run_sync(self.runs.is_trained, model):
            raise ConflictError(f"{model!r} has a run folder already; {_WAYS_ON}")
        labels = await run_sync(self._look_at, request)
        room = await self._room.read()
        fitted = fit_defaults(self._resources, room)
        manifest = to_manifest(request, labels, fitted)
        advise(manifest, self._resources, fitted, room)
        try:
            created = await self._kube.create_training(manifest)
        except AlreadyExistsError:
            raise _taken(await self.cache.look(name), model) from None
        logger.info("training created", extra={"training": name, "model": model})
        return self.cache.put(created)

    async def terminate(self, model: str) -> None:
        """Ends the training; returns when its pods are gone, at the latest after `TERMINATE_SECONDS`.

        Raises UnknownModelError, and ConflictError when it is not running.
        """
        entry = await self.find(model)
        if entry and entry.settled:
            entry = _of_model(await self.cache.look(entry.name), model)
        if entry is None:
            await self.require_known(model)
        if entry is None or entry.settled:
            raise ConflictError(f"{model!r} is not running")
        if not entry.stop:
            stop = [{"op": "add", "path": "/spec/stop", "value": True}]
            self.cache.put(await self._kube.patch_training(entry.name, stop))
            logger.info("training stopped", extra={"training": entry.name, "model": model})
        try:
            async with asyncio.timeout(TERMINATE_SECONDS):
                await self._until_gone(entry.name)
        except TimeoutError:
            logger.warning("pods are still ending", extra={"training": entry.name})

    async def clear(self, model: str) -> Cleared:
        """Deletes the training and its run folders; the name is free afterwards. What runs is left whole.

        Raises UnknownModelError.
        """
        try:
            await self._clear(model)
        except ConflictError as error:
            return Cleared([], {model: str(error)})
        return Cleared([model], {})

    async def clear_all(self) -> Cleared:
        """Clears every model that is not running."""
        entries = await self.cache.listed()
        folders = await run_sync(lambda: {*self.runs.names("train"), *self.runs.names("train_info")})
        cleared = Cleared([], {})
        for model in sorted(folders | {entry.shown_name for entry in entries}):
            with contextlib.suppress(UnknownModelError):  # somebody else cleared it meanwhile
                one = await self.clear(model)
                cleared.success.extend(one.success)
                cleared.failed.update(one.failed)
        return cleared

    def collect(self) -> None:
        """Deletes discarded folders in the background."""
        task = asyncio.create_task(run_sync(self.runs.collect))
        self._collecting.add(task)
        task.add_done_callback(self._collecting.discard)

    async def _until_gone(self, name: str) -> None:
        """Returns when the operator has seen the end and no pod runs on: it may yet create one until then."""
        while True:
            entry = self.cache.peek(name)
            if (entry is None or entry.settled) and not await self._kube.list_unfinished_pods(name):
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_SECONDS):
                    await self.cache.changed()

    def _unknown(self, model: str) -> UnknownModelError:
        """That there is no such model, and which was likely meant."""
        names = {entry.shown_name for entry in self.cache.entries()}
        with contextlib.suppress(OSError):
            names |= {*self.runs.names("train"), *self.runs.names("train_info")}
        like = nearest(model, islice(names, _NAMES_MAX))
        advice = f"did you mean {like!r}? " if like else ""
        return UnknownModelError(
            f"there is no model {model!r}; {advice}GET /status and /cache_info list them"
        )

    def _check_earlier(self, field: str, earlier: EarlierRun) -> list[tuple[str, str]]:
        """What is wrong with the name of an earlier run's model: nothing, or what is not there."""
        name = earlier.model_name
        if not self.runs.is_known(name):
            return [(field, str(self._unknown(name)))]
        try:
            self.runs.open_checkpoint(name, earlier.file).close()
        except MissingFileError as error:
            return [(field, str(error))]
        return []

    def _look_at(self, request: StartRequest, *, in_image: bool = False) -> list[str]:
        """The class names; raises InvalidFieldsError for all that is missing on the data volume at once.

        `in_image`: the earlier run's data set lies in an image, and so does what the request names.
        """
        problems = []
        if not in_image and not request.option("data_image"):  # else they are paths within it
            problems += self._data.check_data("train_ucd", request.train_ucd)
            problems += self._data.check_data("val_ucd", request.val_ucd)
        model = to_model(request.model_type)
        # What goes on needs no pretrained weights; the prepare stage knows whether there is a checkpoint.
        if request.continue_train:
            pass
        elif earlier := parse_earlier_run(model):
            problems += self._check_earlier("model_type", earlier)
        else:
            problems += self._data.check_weights("model_type", model)
        if problems:
            raise InvalidFieldsError(problems)
        return self._data.read_labels(request.labels)

    async def _continue(self, entry: Entry, request: StartRequest) -> Entry:
        if entry.model_name != request.model_name:
            raise _taken(entry, request.model_name)
        if not entry.settled:
            raise ConflictError(f"{entry.model_name!r} is running ({entry.phase}); terminate it first")
        current = entry.body()
        in_image = bool(current["spec"]["template"]["data"].get("image"))
        labels = await run_sync(lambda: self._look_at(request, in_image=in_image))
        try:
            patched = await self._kube.patch_training(entry.name, to_patch(request, labels, current))
        except StaleError:
            fresh = await self._kube.get_training(entry.name)
            if _version(fresh) != _version(current):
                raise ConflictError(
                    f"{entry.model_name!r} was changed by somebody else meanwhile; look and ask again"
                ) from None
            patched = await self._kube.patch_training(entry.name, to_patch(request, labels, fresh))
        logger.info("training continued", extra={"training": entry.name, "model": entry.model_name})
        return self.cache.put(patched)

    async def _clear(self, model: str) -> None:
        entry = await self.find(model)
        if entry is None:
            await self.require_known(model)
        await self._require_idle(model, entry)
        if entry:
            await self._delete(model, entry)
        uid = entry.uid if entry else str(uuid.uuid4())
        await run_sync(self.runs.discard, model, uid)
        logger.info("model cleared", extra={"model": model})
        self.collect()

    async def _require_idle(self, model: str, entry: Entry | None) -> None:
        if entry and not entry.settled:
            entry = await self.cache.look(entry.name)
        if entry and not entry.settled:
            raise ConflictError(f"{model!r} is running ({entry.phase}); terminate it first")
        name = _object_name(model)
        if name and (pods := await self._kube.list_unfinished_pods(name)):
            raise ConflictError(f"{model!r} still has a pod that has not ended: {', '.join(pods)}")

    async def _delete(self, model: str, entry: Entry) -> None:
        """Deletes the object as it was looked at; one that changed meanwhile is looked at once more."""
        try:
            await self._kube.delete_training(entry.name, entry.uid, entry.resource_version)
        except NotFoundError:
            pass
        except StaleError:
            fresh = self.cache.put(await self._kube.get_training(entry.name))
            await self._require_idle(model, fresh)
            await self._kube.delete_training(fresh.name, fresh.uid, fresh.resource_version)
        self.cache.remove(entry.name, entry.uid)


def _object_name(model: str) -> str | None:
    """The name of the model's object; None for an adopted folder whose name no training can have."""
    try:
        return object_name(model)
    except ValueError:
        return None


def _of_model(entry: Entry | None, model: str) -> Entry | None:
    """The object, unless it has the model's object name but belongs to another model."""
    return entry if entry and entry.shown_name == model else None


def _taken(entry: Entry | None, model: str) -> ConflictError:
    if entry and entry.model_name != model:
        return ConflictError(
            f"{model!r} cannot be used: its object {entry.name!r} belongs to the model {entry.model_name!r}"
        )
    if entry and not entry.settled:
        return ConflictError(f"{model!r} is running ({entry.phase}); wait for its end, or terminate it")
    return ConflictError(f"{model!r} is there already; {_WAYS_ON}")


def _version(body: Manifest) -> tuple[str, int]:
    """What changes with the object's spec, but not with its status."""
    return body["metadata"]["uid"], body["metadata"].get("generation", 0)
