"""The command line says the same as the methods in Python."""

import pytest

from cluster import Cluster
from cluster import __main__ as command_line
from cluster.faults import Faults


@pytest.mark.parametrize("verb", command_line.FAULTS)
def test_fault_verbs_are_those_of_python(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []
    method = verb.replace("-", "_")
    monkeypatch.setattr(Faults, method, lambda self, target: asked.append((self._cluster.name, target)))
    arguments = command_line.parser().parse_args([verb, "kubelet@node-2", "--name", "mine"])
    assert command_line.run(arguments) == 0
    assert asked == [("mine", "kubelet@node-2")]


def test_up_passes_on_what_is_said_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(Cluster, "up", lambda _, **options: asked.append(options))
    for words in (
        ["up"],
        ["up", "--nodes", "2", "--label", "zone=a", "--label", "node-2:gpu=a100"],
        ["up", "--api-only", "--node-monitor-grace-period", "8", "--taint", "gpu=a100:NoSchedule"],
        ["up", "--kueue", "--kueue-pods-ready", "20"],
    ):
        command_line.run(command_line.parser().parse_args(words))
    unsaid = ("nodes", "host_port", "grace", "labels", "taints", "kueue", "pods_ready")
    nothing = dict.fromkeys(unsaid) | {"api_only": False}
    assert asked == [
        nothing,
        nothing | {"nodes": 2, "labels": ["zone=a", "node-2:gpu=a100"]},
        nothing | {"api_only": True, "grace": 8, "taints": ["gpu=a100:NoSchedule"]},
        nothing | {"kueue": True, "pods_ready": 20},
    ]
