"""All trainings of the namespace, kept current by a reflector: a read costs no API call."""

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from yolo_crds.conditions import TERMINAL_PHASES, Phase
from yolo_crds.meta import normalize_model_name, object_name
from yolo_kube.connection import Manifest
from yolo_kube.reflector import WATCH_SECONDS, Reflector

from .errors import UnavailableError
from .kube import Kube
from .kube_errors import NotFoundError
from .status import observed_status, to_view, with_age

FRESH_SECONDS = WATCH_SECONDS + 30.0
"""Without a word from the API server for so long, the cache no longer counts as current."""
_SYNC_SECONDS = 5.0
_GONE_KEPT = 1000
"""Deleted objects that are remembered: an answer that was under way may still tell of them."""


@dataclass(frozen=True)
class Entry:
    """One training: what is asked for all the time as values, the rest as JSON that is parsed when needed
    (bytes take a fifth of the room of dicts).
    """

    name: str
    uid: str
    resource_version: str
    model_name: str
    """As the spec says, in NFC."""
    shown_name: str
    """What clients know it by: the model name, or the object's own name when the operator refuses it because
    the two do not belong together; so it cannot hide the rightful object."""
    run: int
    stop: bool
    phase: str
    """Of the run that the spec asks for; `Pending` until the operator has seen that run."""
    raw: bytes
    known_since: float = field(default_factory=time.monotonic, compare=False)
    """When it was first seen in this state, by the process's own clock."""

    @property
    def settled(self) -> bool:
        """Whether the run that the spec asks for has ended."""
        return self.phase in TERMINAL_PHASES

    @property
    def view(self) -> Manifest:
        """This training as `GET /status` shows it now."""
        return with_age(self._view, datetime.now(UTC), time.monotonic() - self.known_since)

    @cached_property
    def _view(self) -> Manifest:
        return to_view(self.body())

    def body(self) -> Manifest:
        """A fresh copy of the whole object, without `metadata.managedFields`."""
        body: Manifest = json.loads(self.raw)
        return body


def to_entry(body: Manifest) -> Entry:
    """The cache's form of an object."""
    metadata, spec = body["metadata"], body["spec"]
    model_name, shown_name = _names(body)
    slim = {**body, "metadata": {k: v for k, v in metadata.items() if k != "managedFields"}}
    return Entry(
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        model_name=model_name,
        shown_name=shown_name,
        run=int(spec.get("run", 1)),
        stop=bool(spec.get("stop", False)),
        phase=str(observed_status(body).get("phase") or Phase.PENDING),
        raw=json.dumps(slim, ensure_ascii=False, separators=(",", ":")).encode(),
    )


def _names(body: Manifest) -> tuple[str, str]:
    name = str(body["metadata"]["name"])
    model = str(body["spec"].get("modelName") or name)
    try:
        model = normalize_model_name(model)
        return model, model if object_name(model) == name else name
    except ValueError:
        return model, name


class TrainingCache:
    """The trainings by object name."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._entries: dict[str, Entry] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._changed = asyncio.Event()
        self._reflector = Reflector(kube.trainings(), self, "trainings")

    async def run(self) -> None:
        """Keeps the cache current until it is cancelled; no failure ends it."""
        await self._reflector.run()

    @property
    def synced(self) -> bool:
        """Whether the trainings were listed at least once."""
        return self._reflector.synced.is_set()

    @property
    def age(self) -> float:
        """Seconds since the API server was last heard; infinite before the first list."""
        return self._reflector.age

    @property
    def fresh(self) -> bool:
        return self.age <= FRESH_SECONDS

    def entries(self) -> list[Entry]:
        """All trainings in the order of their names; a copy that later changes do not touch."""
        return sorted(self._entries.values(), key=lambda entry: entry.shown_name)

    async def listed(self) -> list[Entry]:
        """As `entries`, once the trainings are known: an empty answer would tell old clients that all ended.

        Raises UnavailableError when that takes too long.
        """
        try:
            async with asyncio.timeout(_SYNC_SECONDS):
                while not self.synced:
                    await self.changed()
        except TimeoutError:
            raise UnavailableError("the trainings are not listed yet; ask again") from None
        return self.entries()

    def peek(self, name: str) -> Entry | None:
        """The training, if the cache has it."""
        return self._entries.get(name)

    def model_name(self, name: str) -> str | None:
        """The name that people gave the training with this object name, if the cache has it."""
        entry = self._entries.get(name)
        return entry.shown_name if entry else None

    @property
    def operator_seen_at(self) -> str | None:
        """RFC 3339 time at which the operator last wrote to a training that goes on, if there is one."""
        views = [entry.view for entry in self._entries.values() if not entry.settled]
        return max((view["updated_at"] for view in views if view["updated_at"]), default=None)

    async def find(self, name: str) -> Entry | None:
        """The training; a miss is looked up once at the API server, as another replica may have made it."""
        return self._entries.get(name) or await self.look(name)

    async def look(self, name: str) -> Entry | None:
        """The training as the API server has it now: before a refusal, since another replica or `kubectl` may
        have changed it a moment ago. Raises UnavailableError.
        """
        known = self._entries.get(name)
        try:
            return self.put(await self._kube.get_training(name))
        except NotFoundError:
            if known:
                self.remove(name, known.uid)
            return None

    def put(self, body: Manifest) -> Entry:
        """Takes over an object unless the cache knows better; what is known of that name now, or the object
        itself where it is gone.

        Versions of all objects of a kind can be compared, so what comes late never replaces a successor.
        """
        entry = to_entry(body)
        known = self._entries.get(entry.name)
        if known and int(known.resource_version) >= int(entry.resource_version):
            return known
        if entry.uid in self._gone:
            return entry
        self._entries[entry.name] = entry
        self._notify()
        return entry

    def drop(self, body: Manifest) -> None:
        """The object is gone."""
        self.remove(body["metadata"]["name"], body["metadata"]["uid"])

    def keep(self, uids: AbstractSet[str], version: int) -> None:
        """Of what is known from before `version`, only these objects are there.

        One that was put in after the list was taken is no less true for not being in it.
        """
        for entry in list(self._entries.values()):
            if entry.uid not in uids and int(entry.resource_version) <= version:
                self.remove(entry.name, entry.uid)
        self._notify()

    def forget(self) -> None:
        """Nothing holds that is known, what was deleted included: it may be there again."""
        self._entries.clear()
        self._gone.clear()
        self._notify()

    def remove(self, name: str, uid: str) -> None:
        """Forgets this object; another one of the same name stays."""
        self._gone[uid] = None
        if len(self._gone) > _GONE_KEPT:
            self._gone.popitem(last=False)
        known = self._entries.get(name)
        if known and known.uid == uid:
            del self._entries[name]
            self._notify()

    async def changed(self) -> None:
        """Returns when any training changes."""
        await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
