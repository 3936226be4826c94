"""Whether what we watch with is alive, and what was deleted while kopf's watch was down."""

import asyncio
from contextlib import nullcontext
from typing import cast

import pytest

from operator_objects import make_training
from yolo_kube.reflector import Reflector
from yolo_operator import resync
from yolo_operator.kube import Kube
from yolo_operator.metrics import Metrics
from yolo_operator.resync import Resync, UnhealthyError, drop_phantoms, list_behind
from yolo_operator.snapshot import view_training
from yolo_operator.store import Key, Store

KEY: Key = ("lab", "cats")
UID = str(make_training()["metadata"]["uid"])


def _store() -> Store:
    store = Store()
    store.put_training(view_training(make_training()))
    return store


def test_list_behind_finds_what_the_watch_missed() -> None:
    store = _store()
    assert list_behind(store, {UID: "10"}) == []
    assert list_behind(store, {UID: "9"}) == []
    assert list_behind(store, {UID: "11", "unseen": "3"}) == [UID, "unseen"]


def test_drop_phantoms_forgets_what_is_gone_and_keeps_what_may_be_newer() -> None:
    store = _store()
    drop_phantoms(store, {}, oldest=10)
    assert store.list_keys() == [KEY]
    drop_phantoms(store, {}, oldest=11)
    assert store.list_keys() == []


class ListKube:
    """Lists the training in one version after the other, the last one for ever; None: it is gone."""

    def __init__(self, *versions: str | None) -> None:
        self.versions = list(versions)
        self.asked = 0

    async def list_versions(self, namespace: str | None) -> tuple[dict[str, str], str]:
        self.asked += 1
        version = self.versions.pop(0) if len(self.versions) > 1 else self.versions[0]
        return {UID: version} if version else {}, "9"


@pytest.mark.parametrize(
    ("versions", "behind"),
    [
        (("10",), 0),
        (("11",), 1),
        (("11", None), 0),  # deleted meanwhile: the watch may have told both
    ],
)
async def test_resync_is_unhealthy_while_the_watch_does_not_follow(
    monkeypatch: pytest.MonkeyPatch, versions: tuple[str | None, ...], behind: int
) -> None:
    monkeypatch.setattr(resync, "GRACE_SECONDS", 0.001)
    kube, metrics, told = ListKube(*versions), Metrics(), set[Key]()
    part = Resync(cast("Kube", kube), _store(), [], 0.001, told.add)
    part.check()
    task = asyncio.create_task(part.run(metrics))
    async with asyncio.timeout(5):
        while kube.asked < 6:  # noqa: ASYNC110 - it has no event for it
            await asyncio.sleep(0.001)
    assert metrics.registry.get_sample_value("yolo_operator_watches_behind") == behind
    with pytest.raises(UnhealthyError) if behind else nullcontext():
        part.check()
    assert told == {KEY}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class Idle:
    """A reflector whose task has died, or not."""

    def __init__(self, idle: float) -> None:
        self.idle = idle


@pytest.mark.parametrize("idle", [1.0, 1000.0])
def test_reflector_that_does_not_run_is_unhealthy(idle: float) -> None:
    part = Resync(cast("Kube", None), Store(), [], 300, lambda key: None, [cast("Reflector", Idle(idle))])
    with pytest.raises(UnhealthyError) if idle > resync.IDLE_SECONDS else nullcontext():
        part.check()
