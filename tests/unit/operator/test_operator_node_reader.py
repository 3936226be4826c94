"""How often nodes and pods are read, and what a refusal of one of them means for the other."""

import asyncio
from typing import cast

import pytest

from yolo_kube.errors import KubeError
from yolo_operator import node_reader
from yolo_operator.kube import Kube
from yolo_operator.node_reader import INTERVAL, WORDS_PER_SECOND, NodeReader
from yolo_operator.nodes import Node
from yolo_operator.store import Store

KEY = ("lab", "cats")


class FakeKube:
    """Answers both requests, or refuses one of them."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.refuse: dict[str, int] = {}

    async def list_nodes(self) -> tuple[Node, ...]:
        await self._answer("nodes")
        return (Node("a"),)

    async def sum_pods(self, served: list[str]) -> dict[str, dict[str, int]]:
        await self._answer("pods")
        return {"a": {"cpu": 1}}

    async def _answer(self, what: str) -> None:
        self.asked.append(what)
        await asyncio.sleep(0)
        if what in self.refuse:
            raise KubeError(self.refuse[what], f"{what}: no")


class SpyStore(Store):
    """What was put last."""

    seen: tuple[object, object] = ((), None)

    def put_nodes(self, nodes: tuple[Node, ...]) -> None:
        self.seen = (nodes, self.seen[1])

    def put_others(self, others: object) -> None:
        self.seen = (self.seen[0], others)


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


@pytest.fixture
def store() -> SpyStore:
    return SpyStore()


@pytest.fixture
def reader(kube: FakeKube, store: SpyStore) -> NodeReader:
    return NodeReader(cast("Kube", kube), store, [])


async def test_who_asks_at_once_shares_one_read(kube: FakeKube, store: SpyStore, reader: NodeReader) -> None:
    delays = await asyncio.gather(*(reader.read(("lab", f"t{number}")) for number in range(5)))
    assert kube.asked == ["nodes", "pods"]
    assert store.seen == ((Node("a"),), {"a": {"cpu": 1}})
    assert set(delays) == {INTERVAL}
    await reader.read(KEY)
    assert len(kube.asked) == 2


async def test_the_more_wait_the_seldomer_each_is_looked_at(reader: NodeReader) -> None:
    many = int(INTERVAL * WORDS_PER_SECOND * 4)
    for number in range(many):
        await reader.read(("lab", f"t{number}"))
    assert await reader.read(("lab", "t0")) == pytest.approx(INTERVAL * 4, rel=0.05)


@pytest.mark.parametrize(("refused", "other"), [("nodes", "pods"), ("pods", "nodes")])
async def test_a_kind_that_may_not_be_read_silences_no_other(
    kube: FakeKube,
    store: SpyStore,
    reader: NodeReader,
    monkeypatch: pytest.MonkeyPatch,
    refused: str,
    other: str,
) -> None:
    monkeypatch.setattr(node_reader, "INTERVAL", 0.0)
    monkeypatch.setattr(node_reader, "_COST_PART", 1e9)
    await reader.read(KEY)
    kube.refuse = {refused: 403}
    for _ in range(3):
        await reader.read(KEY)
    assert kube.asked.count(refused) == 2, "once well, once refused"
    assert kube.asked.count(other) == 4
    want = ((), {"a": {"cpu": 1}}) if refused == "nodes" else ((Node("a"),), None)
    assert store.seen == want


async def test_what_was_read_last_stays_while_the_api_server_is_away(
    kube: FakeKube, store: SpyStore, reader: NodeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_reader, "INTERVAL", 0.0)
    monkeypatch.setattr(node_reader, "_COST_PART", 1e9)
    await reader.read(KEY)
    kube.refuse = {"nodes": 503, "pods": 0}
    await reader.read(KEY)
    assert len(kube.asked) == 4
    assert store.seen == ((Node("a"),), {"a": {"cpu": 1}})
