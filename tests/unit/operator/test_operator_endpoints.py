"""Metrics and health as Prometheus and the kubelet see them, over IPv4 and IPv6."""

import os
import subprocess
import sys

import aiohttp
import pytest

from loopbacks import LOOPBACKS, free_port, url
from yolo_crds.listening import bind
from yolo_operator.endpoints import Handler, answer_health, answer_metrics, serving
from yolo_operator.metrics import Metrics
from yolo_operator.resync import UnhealthyError


async def _ask(answer: Handler, path: str, address: str) -> tuple[int, str, str]:
    port = free_port()
    async with (
        serving(port, path, answer),
        aiohttp.ClientSession(trust_env=False) as http,
        http.get(url(address, port, path)) as got,
    ):
        return got.status, got.content_type, await got.text()


@pytest.mark.parametrize("address", LOOPBACKS)
async def test_metrics_are_served_to_both_families(address: str) -> None:
    metrics = Metrics()
    metrics.watches_behind.set(7)
    status, kind, text = await _ask(answer_metrics(metrics), "/metrics", address)
    assert (status, kind) == (200, "text/plain")
    assert "yolo_operator_watches_behind 7.0" in text


@pytest.mark.parametrize("address", LOOPBACKS)
async def test_health_is_served_to_both_families(address: str) -> None:
    status, _, text = await _ask(answer_health(lambda: None), "/healthz", address)
    assert (status, text) == (200, '{"watches": "alive"}')


async def test_health_tells_what_is_wrong() -> None:
    def check() -> None:
        raise UnhealthyError("the watches have missed 2 objects")

    status, _, text = await _ask(answer_health(check), "/healthz", LOOPBACKS[0])
    assert (status, text) == (503, '{"watches": "the watches have missed 2 objects"}')


def test_main_says_which_port_is_taken() -> None:
    with bind("", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        needed = {
            "TRAINER_IMAGE": "trainer:1",
            "DATA_CLAIM": "d",
            "RUNS_CLAIM": "r",
            "METRICS_PORT": str(port),
        }
        env = os.environ | {f"YOLO_OPERATOR_{name}": value for name, value in needed.items()}
        done = subprocess.run(
            [sys.executable, "-m", "yolo_operator"], env=env, capture_output=True, text=True
        )
    assert (done.returncode, done.stderr) == (1, f"cannot listen on port {port}: Address already in use\n")
