import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from yolo_api.cache import TrainingCache
from yolo_kube.connection import Page
from yolo_kube.errors import KubeError


def training(name: str = "helmet", **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **metadata}, "spec": {"run": 1, "template": {"epochs": 1}}}


@asynccontextmanager
async def running(cache: TrainingCache) -> AsyncIterator[None]:
    task = asyncio.create_task(cache.run())
    try:
        await until(lambda: cache.synced)
        yield
    finally:
        task.cancel()


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - conditions of many kinds
            await asyncio.sleep(0.005)


@pytest.fixture
def cache(kube: Any, monkeypatch: pytest.MonkeyPatch) -> TrainingCache:
    monkeypatch.setattr("yolo_kube.reflector._BACK_OFF", (0.001, 0.002))
    return TrainingCache(kube)


async def test_run_follows_what_others_do(kube: Any, cache: TrainingCache) -> None:
    kube.store(training("before"))
    assert not cache.fresh
    async with running(cache):
        assert [entry.name for entry in cache.entries()] == ["before"]
        kube.store(training("after"))
        await until(lambda: cache.peek("after"))
        kube.set_status("after", phase="Succeeded")
        await until(lambda: cache.peek("after") and cache.peek("after").settled)  # type: ignore[union-attr]
        kube.remove("after")
        await until(lambda: cache.peek("after") is None)
        assert cache.fresh
        assert kube.calls == ["list", "watch"]


async def test_reads_cost_no_call(kube: Any, cache: TrainingCache) -> None:
    kube.store(training())
    async with running(cache):
        for _ in range(100):
            assert await cache.find("helmet")
            cache.entries()
        assert "get" not in kube.calls


async def test_find_reads_a_miss_through_once(kube: Any, cache: TrainingCache) -> None:
    kube.store(training())
    assert await cache.find("helmet")
    assert await cache.find("helmet")
    assert await cache.find("nope") is None
    assert kube.calls == ["get", "get"]


async def test_run_lists_again_when_history_is_gone(kube: Any, cache: TrainingCache) -> None:
    async with running(cache):
        kube.store(training())
        kube.forget_history()
        await until(lambda: cache.peek("helmet"))
        assert kube.calls.count("list") == 2


async def test_another_list_leaves_an_object_as_long_known_as_it_was(kube: Any, cache: TrainingCache) -> None:
    """Since when it is known tells whether an operator takes it up."""
    kube.store(training())
    async with running(cache):
        first = cache.peek("helmet")
        assert first is not None
        kube.forget_history()
        await until(lambda: kube.calls.count("list") == 2)
        await until(lambda: kube.calls.count("watch") == 2)
        assert cache.peek("helmet") is first


async def test_run_survives_an_api_server_that_is_away(
    kube: Any, cache: TrainingCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, failures = kube.pages, [KubeError(0, "away"), RuntimeError("a fault of ours")]

    async def sometimes() -> AsyncIterator[Page]:
        if failures:
            raise failures.pop()
        async for page in original():
            yield page

    monkeypatch.setattr(kube, "pages", sometimes)
    async with running(cache):
        assert failures == []


async def test_put_keeps_the_newer_state(cache: TrainingCache) -> None:
    new = training(uid="a", resourceVersion="10")
    assert cache.put(new).resource_version == "10"
    assert cache.put(training(uid="a", resourceVersion="9")).resource_version == "10"


async def test_what_comes_late_of_a_namesake_never_replaces_its_successor(cache: TrainingCache) -> None:
    cache.put(training(uid="first", resourceVersion="10"))
    cache.put(training(uid="second", resourceVersion="12"))
    assert cache.put(training(uid="first", resourceVersion="11")).uid == "second"
    cache.remove("helmet", "first")
    assert cache.peek("helmet") is not None


async def test_answer_that_was_under_way_does_not_bring_back_what_was_deleted(cache: TrainingCache) -> None:
    body = training(uid="a", resourceVersion="10")
    cache.put(body)
    cache.drop(body)
    assert cache.put(body).uid == "a"
    assert cache.peek("helmet") is None


async def test_remove_leaves_another_object_of_the_same_name(cache: TrainingCache) -> None:
    cache.put(training(uid="new", resourceVersion="10"))
    cache.remove("helmet", "old")
    assert cache.peek("helmet")
    cache.remove("helmet", "new")
    assert cache.peek("helmet") is None


async def test_a_list_does_not_drop_what_was_just_created(
    kube: Any, cache: TrainingCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def older() -> AsyncIterator[Page]:
        yield Page([], "5")

    cache.put(training(uid="a", resourceVersion="7"))
    cache.put(training("deleted meanwhile", uid="b", resourceVersion="4"))
    monkeypatch.setattr(kube, "pages", older)
    async with running(cache):
        assert [entry.name for entry in cache.entries()] == ["helmet"]


async def test_store_that_was_restored_from_a_backup_is_believed(
    kube: Any, cache: TrainingCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lives on in it and what was deleted after the backup alike."""
    kept, deleted = (training(name, uid=name, resourceVersion="7") for name in ("kept", "deleted"))
    lists = [Page([kept, deleted], "40"), Page([kept, deleted], "9")]

    async def restored() -> AsyncIterator[Page]:
        yield lists.pop(0) if len(lists) > 1 else lists[0]

    monkeypatch.setattr(kube, "pages", restored)
    async with running(cache):
        cache.drop(deleted)
        cache.put(training("made since", uid="c", resourceVersion="41"))
        kube.forget_history()
        await until(lambda: len(lists) == 1 and cache.peek("made since") is None)
        assert [entry.name for entry in cache.entries()] == ["deleted", "kept"]


async def test_changed_wakes_up_on_every_change(cache: TrainingCache) -> None:
    waiting = asyncio.create_task(cache.changed())
    await asyncio.sleep(0)
    cache.put(training(uid="a", resourceVersion="7"))
    await asyncio.wait_for(waiting, 1)
