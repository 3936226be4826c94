"""The façade and the GPU agent as processes: they answer on IPv4 and IPv6, and say when they cannot."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest

from loopbacks import LOOPBACKS, free_port, url
from yolo_crds.listening import bind

SERVERS = {"yolo_api": "YOLO_API", "yolo_gpu_agent": "YOLO_GPU_AGENT"}
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: x
contexts: [{name: x, context: {cluster: x, user: x}}]
clusters: [{name: x, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: x, user: {token: x}}]
"""


def _start(module: str, port: int, folder: Path) -> subprocess.Popen[str]:
    prefix = SERVERS[module]
    (folder / "kubeconfig").write_text(KUBECONFIG)
    env = os.environ | {
        f"{prefix}_PORT": str(port),
        "YOLO_GPU_AGENT_NODE": "node-1",
        "YOLO_API_RUNS_DIR": str(folder),
        "KUBECONFIG": str(folder / "kubeconfig"),
    }
    command = [sys.executable, "-m", module]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@contextmanager
def _running(module: str, port: int, folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = _start(module, port, folder)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _status(process: subprocess.Popen[str], where: str) -> int:
    """The answer's HTTP status, as soon as there is one."""
    opener = build_opener(ProxyHandler({}))
    deadline = time.monotonic() + 30
    while True:
        try:
            with opener.open(where, timeout=5) as answer:
                return int(answer.status)
        except OSError:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, f"{where} does not answer"
            time.sleep(0.02)


@pytest.mark.parametrize("module", SERVERS)
def test_server_answers_on_all_families(module: str, tmp_path: Path) -> None:
    port = free_port()
    with _running(module, port, tmp_path) as process:
        got = {address: _status(process, url(address, port, "/healthz")) for address in LOOPBACKS}
    assert got == dict.fromkeys(LOOPBACKS, 200)


@pytest.mark.parametrize("module", SERVERS)
def test_server_says_which_port_is_taken(module: str, tmp_path: Path) -> None:
    with bind("", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        process = _start(module, port, tmp_path)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"cannot listen on port {port}: Address already in use" in out
    assert "Traceback" not in out
