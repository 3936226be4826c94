"""`/gpu_info`: rows out of reports and pods, agents asked over real HTTP, nodes that fall silent."""

import asyncio
import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from starlette.testclient import TestClient

from yolo_api.app import create_app
from yolo_api.errors import UnavailableError
from yolo_api.gpu_agents import AgentClient, AgentsUnknownError
from yolo_api.gpu_rows import Node, Pod, build_rows, to_pod
from yolo_api.gpus import FORGET_SECONDS, SILENT_SECONDS, Gpus, merge_reports
from yolo_api.settings import Settings
from yolo_crds.gpus import Gpu, GpuProcess, Health, Holder, MigDevice, NodeReport
from yolo_crds.meta import ANNOTATION_MODEL_NAME, LABEL_ATTEMPT, LABEL_RUN, LABEL_STAGE, LABEL_TRAINING

GIB = 1 << 30
NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


def held(pod: str, namespace: str = "team") -> Holder:
    return Holder(namespace=namespace, pod=pod, container="trainer", device="GPU-a")


def gpu(index: int = 0, **values: Any) -> Gpu:
    return Gpu(index=index, **{"uuid": f"GPU-{index}", "name": "NVIDIA L4"} | values)


def node(*gpus: Gpu, name: str = "n", silent: bool = False, **values: Any) -> Node:
    return Node(NodeReport(node=name, gpus=gpus, **values), NOW, silent)


def rows(*nodes: Node, pods: tuple[Pod, ...] = ()) -> list[dict[str, Any]]:
    return [row.model_dump() for row in build_rows(nodes, pods, "team")]


def test_build_rows_keeps_the_old_keys_and_adds_who_holds_it() -> None:
    card = gpu(
        memory_used=3 * GIB + 5,
        memory_total=24 * GIB,
        utilization=87,
        temperature=66,
        power_draw=71.5,
        processes=(GpuProcess(pid=7, memory=2 * GIB, kind="compute"),),
        holders=(held("train-x"),),
    )
    (got,) = rows(node(card), pods=(Pod("train-x", "n", "安全帽 v1"),))
    assert got == {
        "name": "NVIDIA L4",
        "index": 0,
        "memory_used": 3072,
        "memory_total": 24576,
        "node": "n",
        "node_index": 0,
        "uuid": "GPU-0",
        "gpu_uuid": "GPU-0",
        "utilization": 87.0,
        "temperature": 66.0,
        "power_draw": 71.5,
        "processes": [{"pid": 7, "memory": 2048, "kind": "compute"}],
        "health": "ok",
        "xids": [],
        "free": False,
        "model_name": "安全帽 v1",
        "namespace": "team",
        "pod": "train-x",
        "stale": False,
        "seen_at": "2026-11-27T12:00:00Z",
        "source": "agent",
    }


def test_build_rows_counts_through_nodes_by_the_numbers_in_their_names() -> None:
    found = rows(node(gpu(0), name="gpu-10"), node(gpu(0), gpu(1), name="gpu-9"))
    assert [(row["index"], row["node"], row["node_index"]) for row in found] == [
        (0, "gpu-9", 0),
        (1, "gpu-9", 1),
        (2, "gpu-10", 0),
    ]


def test_build_rows_gives_old_clients_whole_numbers_where_nothing_is_known() -> None:
    (got,) = rows(node(Gpu(index=0, health=Health.LOST)))
    assert (got["name"], got["uuid"], got["memory_used"], got["memory_total"]) == ("", "", 0, 0)
    assert (got["health"], got["free"], got["processes"], got["utilization"]) == ("lost", False, None, None)


def test_a_lost_gpu_has_no_memory_left_for_old_clients() -> None:
    (got,) = rows(node(gpu(memory_total=24 * GIB, health=Health.LOST)))
    assert (got["memory_used"], got["memory_total"]) == (24576, 24576)


FREE: list[tuple[str, Node, bool | None]] = [
    ("idle", node(gpu()), True),
    ("held", node(gpu(holders=(held("x", "other"),))), False),
    ("used by a stranger", node(gpu(processes=(GpuProcess(pid=1, kind="compute"),))), False),
    ("faulty", node(gpu(health=Health.FAULTY)), False),
    ("silent node", node(gpu(), silent=True), None),
    ("silent node, held", node(gpu(holders=(held("x"),)), silent=True), False),
    ("kubelet does not tell", node(gpu(), holders_known=False), None),
    (
        "somebody holds one of the node's, nobody knows which",
        node(gpu(), other_holders=(held("x").model_copy(update={"resource": "nvidia.com/gpu"}),)),
        None,
    ),
    ("parted, no part made", node(gpu(mig_enabled=True)), False),
]


@pytest.mark.parametrize(("node", "want"), [case[1:] for case in FREE], ids=[case[0] for case in FREE])
def test_free_is_told_only_where_it_is_known(node: Node, want: bool | None) -> None:
    (got,) = rows(node)
    assert got["free"] is want


def test_mig_devices_are_rows_of_their_own() -> None:
    parts = (
        MigDevice(
            uuid="MIG-x", name="L4 MIG 1g", memory_used=GIB, memory_total=2 * GIB, holders=(held("p"),)
        ),
        MigDevice(uuid="MIG-y"),
    )
    whole = gpu(mig_enabled=True, mig_devices=parts, utilization=0, temperature=50)
    first, second = rows(node(whole), pods=(Pod("p", "n", "a"),))
    assert (first["uuid"], first["gpu_uuid"], first["name"]) == ("MIG-x", "GPU-0", "L4 MIG 1g")
    assert (first["memory_total"], first["utilization"], first["temperature"]) == (2048, None, 50.0)
    assert [(row["index"], row["free"], row["model_name"]) for row in (first, second)] == [
        (0, False, "a"),
        (1, True, None),
    ]


def test_shared_gpus_name_all_their_holders_and_strangers_by_namespace_only() -> None:
    card = gpu(holders=(held("a"), held("b"), held("secret", "other")))
    (got,) = rows(node(card), pods=(Pod("a", "n", "one"), Pod("b", "n", "two"), Pod("secret", "n", "not me")))
    assert (got["model_name"], got["namespace"], got["pod"]) == ("one, two", "team, other", "a, b")


def test_pods_on_nodes_without_an_agent_are_told_as_requests() -> None:
    pods = (
        Pod("seen", "n", "a", {"nvidia.com/gpu": 1}),
        Pod("unseen", "m", "b", {"nvidia.com/gpu": 2}),
        Pod("waits", None, "c", {"nvidia.com/gpu": 1}),
        Pod("cpu", "m", "d"),
    )
    _, *got = rows(node(gpu()), pods=pods)
    assert [(row["index"], row["name"], row["node"], row["model_name"], row["pod"]) for row in got] == [
        (1, "nvidia.com/gpu", "m", "b", "unseen"),
        (2, "nvidia.com/gpu", "m", "b", "unseen"),
    ]
    assert {(row["source"], row["free"], row["memory_total"], row["health"]) for row in got} == {
        ("requests", False, 0, None)
    }


HELMET = {"helmet-x": "头盔"}
"""Model names by object name: the trainings that there are."""
TRAINING = {"metadata": {"name": "helmet-x"}, "spec": {"modelName": "helmet-x", "template": {}}}


def job_of(job: str, kind: str = "Job", *, controller: bool = True) -> dict[str, Any]:
    return {"apiVersion": "batch/v1", "kind": kind, "name": job, "uid": "u", "controller": controller}


def pod_object(name: str = "p", **limits: str) -> dict[str, Any]:
    """A pod as the Job of the training `helmet-x` makes it."""
    labels = {LABEL_TRAINING: "helmet-x", LABEL_RUN: "2", LABEL_ATTEMPT: "1", LABEL_STAGE: "train"}
    metadata = {
        "name": name,
        "labels": labels,
        "annotations": {ANNOTATION_MODEL_NAME: "whatever"},
        "ownerReferences": [job_of("helmet-x-r2a1-train")],
    }
    return {
        "metadata": metadata,
        "spec": {"nodeName": "n", "containers": [{"resources": {"limits": limits}}]},
    }


def test_to_pod_reads_whose_it_is_and_which_gpus_it_asks_for() -> None:
    limits = {"cpu": "4", "nvidia.com/gpu": "2", "nvidia.com/mig-1g.5gb": "1", "rdma/hca": "1"}
    want = Pod("p", "n", "头盔", {"nvidia.com/gpu": 2, "nvidia.com/mig-1g.5gb": 1})
    assert to_pod(pod_object(**limits), HELMET.get) == want
    assert to_pod({"metadata": {"name": "q"}, "spec": {"containers": [{}]}}, HELMET.get) == Pod("q")


@pytest.mark.parametrize(
    "forged",
    [
        {"ownerReferences": []},
        {"ownerReferences": None},
        {"ownerReferences": [job_of("another-r2a1-train")]},
        {"ownerReferences": [job_of("helmet-x-r2a1-train", controller=False)]},
        {"ownerReferences": [job_of("helmet-x-r2a1-train", "ReplicaSet")]},
        {"labels": {LABEL_TRAINING: "helmet-x"}},
        {"labels": {LABEL_TRAINING: "helmet-x", LABEL_RUN: "x", LABEL_ATTEMPT: "1", LABEL_STAGE: "train"}},
        {"labels": None},
    ],
)
def test_pod_that_only_says_that_it_is_a_training_is_not_told_as_one(forged: dict[str, Any]) -> None:
    body = pod_object()
    body["metadata"] |= forged
    assert to_pod(body, HELMET.get).model_name is None


def test_pod_of_a_training_that_is_not_there_is_not_told_as_one() -> None:
    assert to_pod(pod_object(), dict[str, str]().get).model_name is None


def test_a_pod_that_asks_for_a_billion_gpus_fills_no_memory() -> None:
    got = to_pod(pod_object(**{"nvidia.com/gpu": "999999999"}), HELMET.get)
    assert got.gpus == {"nvidia.com/gpu": 1000}


def test_merge_reports_marks_silent_nodes_and_forgets_them_at_last() -> None:
    known = merge_reports({}, [NodeReport(node="n", gpus=(gpu(),), age=1)], NOW)
    assert (known["n"].seen_at, known["n"].silent) == (NOW - timedelta(seconds=1), False)
    later = merge_reports(known, [], NOW + timedelta(seconds=SILENT_SECONDS))
    assert (later["n"].silent, later["n"].seen_at) == (True, known["n"].seen_at)
    back = merge_reports(later, [NodeReport(node="n")], NOW + timedelta(seconds=60))
    assert not back["n"].silent
    assert merge_reports(later, [], NOW + timedelta(seconds=FORGET_SECONDS)) == {}


@pytest.mark.parametrize("age", [1e6, 1e11, 1e300])
def test_merge_reports_forgets_a_node_of_any_age_and_keeps_the_others(age: float) -> None:
    found = merge_reports({}, [NodeReport(node="n"), NodeReport(node="odd", age=age)], NOW)
    assert list(found) == ["n"]


def test_merge_reports_keeps_the_gpus_of_a_node_whose_driver_went_away() -> None:
    known = merge_reports({}, [NodeReport(node="n", gpus=(gpu(),))], NOW)
    gone = NodeReport(node="n", gap="DriverNotLoaded")
    later = merge_reports(known, [gone], NOW + timedelta(seconds=60))
    assert (len(later["n"].report.gpus), later["n"].silent) == (1, True)
    emptied = merge_reports(known, [NodeReport(node="n", gap="NoGpus")], NOW)
    assert emptied["n"].report.gpus == ()


class Agent(http.server.BaseHTTPRequestHandler):
    """An agent that answers what the test says."""

    body: bytes = b""
    status = 200

    def do_GET(self) -> None:
        assert self.path == "/gpus"
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        pass


@pytest.fixture
def agent() -> Iterator[tuple[type[Agent], str]]:
    """Its class, to set what it answers, and its address."""

    class This(Agent):
        pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), This) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield This, f"localhost:{server.server_port}"
        server.shutdown()
        thread.join()


REPORT = NodeReport(node="n", gpus=(gpu(holders=(held("train-x"),)),))
NEWER = json.dumps({"node": "n", "gpus": [{"index": 0, "health": "a word of a later release", "newer": 1}]})


@pytest.mark.parametrize(
    ("status", "body", "want"),
    [
        (200, REPORT.model_dump_json(by_alias=True), [REPORT]),
        (200, json.dumps({"node": "n", "newer": 1}), [NodeReport(node="n")]),
        (200, NEWER, [NodeReport(node="n", gpus=(Gpu(index=0, health=Health.FAULTY),))]),
        (200, "<html>", []),
        (200, '{"node": 5}', []),
        (500, "{}", []),
        (302, "{}", []),
    ],
)
async def test_agents_answers_are_taken_or_left(
    agent: tuple[type[Agent], str], status: int, body: str, want: list[NodeReport]
) -> None:
    served, address = agent
    served.status, served.body = status, body.encode()
    assert await AgentClient(address).reports() == want


async def test_a_name_without_agents_and_a_port_without_a_server_are_no_agents() -> None:
    assert await AgentClient("no-such-service.invalid").reports() == []
    assert await AgentClient("127.0.0.1:9").reports() == []


@pytest.mark.parametrize(
    "error",
    [
        socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
        socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure in name resolution"),
        TimeoutError(),
    ],
)
async def test_a_name_service_that_fails_is_not_taken_for_no_agents(
    monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    monkeypatch.setattr("socket.getaddrinfo", Mock(side_effect=error))
    with pytest.raises(AgentsUnknownError, match=r"^the GPU agents at 'agents' cannot be looked up: "):
        await AgentClient("agents").reports()


class Lookups:
    """Agents whose name cannot be looked up so many times, or ever."""

    def __init__(self, failures: float) -> None:
        self.failures = failures

    async def reports(self) -> list[NodeReport]:
        if self.failures > 0:
            self.failures -= 1
            raise AgentsUnknownError("the GPU agents at 'agents' cannot be looked up: try again")
        return [REPORT]


async def test_gpus_are_told_as_soon_as_the_name_service_answers(
    kube: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yolo_api.gpus.AGAIN_SECONDS", 0.01)
    gpus = Gpus(Lookups(5), kube, "team", HELMET.get)
    asking = asyncio.create_task(gpus.run())
    async with asyncio.timeout(5):
        (got,) = await gpus.rows()
    asking.cancel()
    assert (got.uuid, got.source, got.stale) == ("GPU-0", "agent", False)


async def test_gpus_that_no_name_service_finds_are_not_told_as_none(
    kube: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yolo_api.gpus.AGAIN_SECONDS", 0.01)
    monkeypatch.setattr("yolo_api.gpus.FIRST_SECONDS", 0.05)
    agents = Lookups(float("inf"))
    gpus = Gpus(agents, kube, "team", HELMET.get)
    asking = asyncio.create_task(gpus.run())
    with pytest.raises(UnavailableError, match="cannot be looked up"):
        await gpus.rows()

    kube.pod_objects = [pod_object("train-x", **{"nvidia.com/gpu": "1"})]
    monkeypatch.setattr("yolo_api.gpus._PODS_SECONDS", 0.0)
    (got,) = await gpus.rows()
    assert (got.source, got.stale, got.seen_at, got.free) == ("requests", True, None, False)
    asking.cancel()

    monkeypatch.setattr("yolo_api.gpus.ROUND_SECONDS", 0.01)
    agents.failures = 0
    asking = asyncio.create_task(gpus.run())
    async with asyncio.timeout(5):
        while (await gpus.rows())[0].source != "agent":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    asking.cancel()


async def test_a_zone_of_agents_is_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them waits for all others, so fewer at a time would get no answer."""
    nodes = 200
    everybody = asyncio.Barrier(nodes)
    body = NodeReport(node="n").model_dump_json(by_alias=True).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await everybody.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    async def addresses(_: AgentClient) -> list[str]:
        return ["127.0.0.1"] * nodes

    monkeypatch.setattr(AgentClient, "_addresses", addresses)
    async with await asyncio.start_server(answer, "127.0.0.1", 0, backlog=nodes) as server:
        port = server.sockets[0].getsockname()[1]
        assert len(await AgentClient(f"127.0.0.1:{port}").reports()) == nodes
        server.close()
        everybody_left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await asyncio.gather(*everybody_left, return_exceptions=True)


async def test_a_report_that_is_too_large_is_left(
    agent: tuple[type[Agent], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yolo_api.gpu_agents._MAX_BYTES", 10)
    served, address = agent
    served.body = REPORT.model_dump_json().encode()
    assert await AgentClient(address).reports() == []


def test_gpu_info_joins_agents_and_pods(
    settings: Settings,
    kube: Any,
    agent: tuple[type[Agent], str],
    monkeypatch: pytest.MonkeyPatch,
    wait_until: Callable[[Callable[[], bool]], None],
) -> None:
    monkeypatch.setattr("yolo_api.gpus.ROUND_SECONDS", 0.02)
    monkeypatch.setattr("yolo_api.gpus.SILENT_SECONDS", 0.3)
    served, address = agent
    served.body = REPORT.model_dump_json(by_alias=True).encode()
    kube.pod_objects = [pod_object("train-x", **{"nvidia.com/gpu": "1"})]
    kube.store(TRAINING)
    app = create_app(settings.model_copy(update={"gpu_agents": address}), kube)
    with TestClient(app) as client:
        client.get("/status")
        (got,) = client.get("/gpu_info").json()
        assert (got["uuid"], got["model_name"], got["source"], got["stale"]) == (
            "GPU-0",
            "helmet-x",
            "agent",
            False,
        )
        served.status = 503
        wait_until(lambda: client.get("/get_gpu_info").json()[0]["stale"])
        served.status = 200
        wait_until(lambda: not client.get("/get_gpu_info").json()[0]["stale"])


def test_gpu_info_without_agents_tells_requests(
    client: TestClient, kube: Any, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    kube.store(TRAINING)
    wait_until(lambda: bool(client.get("/status").json()))
    kube.pod_objects = [pod_object("train-x", **{"nvidia.com/gpu": "1"})]
    (got,) = client.get("/gpu_info").json()
    assert (got["source"], got["node"], got["model_name"], got["memory_total"]) == (
        "requests",
        "n",
        "helmet-x",
        0,
    )


async def test_gpus_are_told_while_the_api_server_has_not_answered_yet(kube: Any) -> None:
    class Told:
        async def reports(self) -> list[NodeReport]:
            return [REPORT]

    async def away() -> list[Any]:
        raise UnavailableError("the Kubernetes API cannot be reached")

    kube.list_pods = away
    gpus = Gpus(Told(), kube, "team", HELMET.get)
    asking = asyncio.create_task(gpus.run())
    (got,) = await gpus.rows()
    asking.cancel()
    assert (got.uuid, got.pod, got.model_name, got.free) == ("GPU-0", "train-x", None, False)
    with pytest.raises(UnavailableError):
        await Gpus(None, kube, "team", HELMET.get).rows()


def test_gpu_info_does_not_wait_for_ever_for_the_first_round(
    settings: Settings, kube: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: AgentClient) -> list[NodeReport]:
        raise RuntimeError("no round ends")

    monkeypatch.setattr(AgentClient, "reports", never)
    monkeypatch.setattr("yolo_api.gpus.FIRST_SECONDS", 0.1)
    app = create_app(settings.model_copy(update={"gpu_agents": "agents"}), kube)
    with TestClient(app) as client:
        started = time.monotonic()
        answer = client.get("/gpu_info")
        assert time.monotonic() - started < 5
        assert (answer.status_code, answer.json()["detail"]) == (503, "the GPUs are not known yet; ask again")
