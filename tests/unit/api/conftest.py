"""A façade on an API server made of dicts, and two volumes made of real files."""

import asyncio
import copy
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from yolo_api.app import create_app
from yolo_api.kube import User, Verb
from yolo_api.kube_errors import AlreadyExistsError, NotFoundError, StaleError
from yolo_api.settings import Settings
from yolo_kube.connection import Manifest, Page, WatchEvent
from yolo_kube.errors import GoneError
from yolo_kube.reflector import Source


class FakeKube:
    """`kube.Kube` without an API server. The real client is tested against a real one (tests/integration)."""

    def __init__(self) -> None:
        self.objects: dict[str, Manifest] = {}
        self.pods: dict[str, list[str]] = {}
        self.pod_objects: list[Manifest] = []
        self.limit_ranges: list[Manifest] = []
        self.quotas: list[Manifest] = []
        self.users: dict[str, User] = {}
        self.rights: set[tuple[str, Verb]] = set()
        self.calls: list[str] = []
        self.before_write: Callable[[], None] | None = None
        """Runs once before the next patch or delete: what another client does at that moment."""
        self.silent = False
        """Its watches tell nothing: what others do is not heard of yet."""
        self._version = 100
        self._history: list[WatchEvent] = []
        self._gone_before = 0

    def trainings(self) -> Source:
        return self

    async def pages(self) -> AsyncIterator[Page]:
        self.calls.append("list")
        yield Page(copy.deepcopy([*self.objects.values()]), str(self._version))

    async def watch(self, version: str) -> AsyncIterator[WatchEvent]:
        self.calls.append("watch")
        since = int(version)
        while True:
            if since < self._gone_before:
                raise GoneError(410, "too old")
            for event in [] if self.silent else list(self._history):
                told = int(event.object["metadata"]["resourceVersion"])
                if told > since:
                    since = told
                    yield copy.deepcopy(event)
            await asyncio.sleep(0.01)

    async def get_training(self, name: str) -> Manifest:
        self.calls.append("get")
        if name not in self.objects:
            raise NotFoundError(f"{name} not found")
        return copy.deepcopy(self.objects[name])

    async def create_training(self, manifest: Manifest) -> Manifest:
        self.calls.append("create")
        if manifest["metadata"]["name"] in self.objects:
            raise AlreadyExistsError("exists")
        return self.store(manifest)

    async def patch_training(self, name: str, operations: list[Manifest]) -> Manifest:
        self.calls.append("patch")
        self._interfere()
        body = await self.get_training(name)
        for operation in operations:
            *parents, last = operation["path"].strip("/").split("/")
            node = body
            for key in parents:
                node = node[key]
            node[last] = operation["value"]
        if body["metadata"]["resourceVersion"] != self.objects[name]["metadata"]["resourceVersion"]:
            raise StaleError("the object has been modified")
        body["metadata"]["generation"] += 1
        return self.store(body)

    async def delete_training(self, name: str, uid: str, resource_version: str) -> None:
        self.calls.append("delete")
        self._interfere()
        metadata = (await self.get_training(name))["metadata"]
        if (metadata["uid"], metadata["resourceVersion"]) != (uid, resource_version):
            raise StaleError("the object has been modified")
        self.remove(name)

    async def list_unfinished_pods(self, training: str) -> list[str]:
        return self.pods.get(training, [])

    async def list_pods(self) -> list[Manifest]:
        self.calls.append("list pods")
        return copy.deepcopy(self.pod_objects)

    async def list_limits(self) -> tuple[list[Manifest], list[Manifest]]:
        self.calls.append("list limits")
        return copy.deepcopy(self.limit_ranges), copy.deepcopy(self.quotas)

    async def review_token(self, token: str, audience: str) -> User | None:
        self.calls.append("review token")
        return self.users.get(token)

    async def review_access(self, user: User, verb: Verb) -> bool:
        self.calls.append("review access")
        return (user.name, verb) in self.rights

    def store(self, body: Manifest) -> Manifest:
        """Creates or overwrites an object, as anybody may."""
        body = copy.deepcopy(body)
        self._version += 1
        metadata = body["metadata"]
        metadata.setdefault("uid", str(uuid.uuid4()))
        metadata.setdefault("generation", 1)
        metadata["resourceVersion"] = str(self._version)
        kind = "MODIFIED" if metadata["name"] in self.objects else "ADDED"
        self.objects[metadata["name"]] = body
        self._history.append(WatchEvent("ADDED" if kind == "ADDED" else "MODIFIED", copy.deepcopy(body)))
        return copy.deepcopy(body)

    def remove(self, name: str) -> None:
        """Deletes an object, as anybody may."""
        body = self.objects.pop(name)
        self._version += 1
        body["metadata"]["resourceVersion"] = str(self._version)
        self._history.append(WatchEvent("DELETED", body))

    def set_status(self, name: str, **status: Any) -> None:
        """What the operator does: the status of the run that the spec asks for."""
        body = copy.deepcopy(self.objects[name])
        body["status"] = {"run": body["spec"].get("run", 1), **status}
        self.store(body)

    def forget_history(self) -> None:
        """What an API server does after a while: older watches end with 410."""
        self._history.clear()
        self._version += 1
        self._gone_before = self._version

    def _interfere(self) -> None:
        action, self.before_write = self.before_write, None
        if action:
            action()


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    """Waits for a condition that another thread brings about, at most 5 seconds."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 5
        while not condition():
            assert time.monotonic() < deadline, "it did not come true"
            time.sleep(0.005)

    return wait


BODY: dict[str, Any] = {
    "model_name": "helmet",
    "train_ucd": "helmet_demo",
    "val_ucd": "None",
    "labels": "helmet,person",
}


@pytest.fixture
def body() -> dict[str, Any]:
    """The smallest `POST /start` body that trains."""
    return dict(BODY)


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data volume with one UCD data set and the pretrained weights of yolov5s."""
    root = tmp_path / "data"
    for folder in ("ucd", "datasets", "weights"):
        (root / folder).mkdir(parents=True)
    (root / "ucd" / "helmet_demo.json").write_text(json.dumps({"uc_list": []}))
    (root / "weights" / "yolov5su.pt").touch()
    return root


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    root = tmp_path / "runs"
    root.mkdir()
    return root


@pytest.fixture
def settings(data_dir: Path, runs_dir: Path) -> Settings:
    """Open to everyone, as the old server was."""
    return Settings(namespace="team", data_dir=data_dir, runs_dir=runs_dir, legacy_anonymous=True)


@pytest.fixture
def client(settings: Settings, kube: FakeKube) -> Iterator[TestClient]:
    with TestClient(create_app(settings, kube), raise_server_exceptions=False) as client:
        yield client
