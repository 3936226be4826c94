"""The schema names the key that is wrong, knows every value, and every value is explained."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from chart.rendering import ALL_VALUES, FOLDER, Chart, load_yaml, merge, nested

pytestmark = pytest.mark.chart

VALUES = FOLDER / "values.yaml"
SCHEMA: dict[str, Any] = load_yaml(FOLDER / "values.schema.json")
FREE_MAPS = {
    "commonLabels",
    "nodeSelector",
    "annotations",
    "podAnnotations",
    "podLabels",
    "requests",
    "limits",
    "affinity",
}

MISTYPED: list[tuple[str, object, str]] = [
    ("fullNameOverride", "x", "fullNameOverride"),
    ("image.registy", "x", "registy"),
    ("image.tag", 1.2, "/image/tag"),
    ("imagePullSecrets", [{"name": "x"}], "/imagePullSecrets/0"),
    ("timeZone", "", "/timeZone"),
    ("podSecurity", None, "podSecurity"),
    ("trainer.prepare", None, "prepare"),
    ("podSecurity.runAsUser", 0, "/podSecurity/runAsUser"),
    ("podSecurity.runAsGroup", "1000", "/podSecurity/runAsGroup"),
    ("podSecurity.fsGroup", 1000, "fsGroup"),
    ("crds.enable", True, "enable"),
    ("crds.keep", "yes", "/crds/keep"),
    ("unserved.action", "warn", "/unserved/action"),
    ("uninstall.trainings", "Keep", "/uninstall/trainings"),
    ("rbac.aggregate", True, "aggregate"),
    ("legacy.anonymus", True, "anonymus"),
    ("legacy.anonymous", "true", "/legacy/anonymous"),
    ("legacy.networks", ["everywhere"], "/legacy/networks/0"),
    ("legacy.networks", "10.0.0.0/8", "/legacy/networks"),
    ("storage.nodeSelector", ["a"], "/storage/nodeSelector"),
    ("storage.data.accessMode", "ReadWriteMany", "accessMode"),
    ("storage.data.accessModes", ["ReadWriteMny"], "/storage/data/accessModes/0"),
    ("storage.data.accessModes", [], "/storage/data/accessModes"),
    ("storage.runs.size", "50 GB", "/storage/runs/size"),
    ("storage.runs.claimName", "Runs", "/storage/runs/claimName"),
    ("storage.run.size", "50Gi", "run"),
    ("trainer.image.digest", "sha256:abc", "/trainer/image/digest"),
    ("trainer.image.pullPolicy", "always", "/trainer/image/pullPolicy"),
    ("trainer.tolerations", [{"key": "a", "operator": "exists"}], "/trainer/tolerations/0/operator"),
    ("trainer.tolerations", [{"keys": "a"}], "keys"),
    ("trainer.prepare.memory", "2GB", "/trainer/prepare/memory"),
    ("trainer.podLabels", {"team": "computer vision"}, "/trainer/podLabels/team"),
    ("trainer.prepare.cpu", -1, "/trainer/prepare/cpu"),
    ("trainer.prepare.memory", 1e20, "/trainer/prepare/memory"),
    ("trainer.prepare.gpu", 1, "gpu"),
    ("trainer.queueName", "GPUs", "/trainer/queueName"),
    ("trainer.limitCpu", "2", "/trainer/limitCpu"),
    ("storage.gc.schedule", "daily", "/storage/gc/schedule"),
    ("storage.gc.keepDays", 0, "/storage/gc/keepDays"),
    ("fetch.ucdServer", "ucd:8080", "/fetch/ucdServer"),
    ("fetch.ucdServer", "http://user:secret@ucd", "/fetch/ucdServer"),
    ("fetch.ucdServer", "http://ucd/?x=1", "/fetch/ucdServer"),
    ("fetch.archives", True, "/fetch/archives"),
    ("fetch.archives.hosts", ["https://example.org"], "/fetch/archives/hosts/0"),
    ("fetch.archives.hosts", ["a.*.org"], "/fetch/archives/hosts/0"),
    ("fetch.archives.maxBytes", "100Gi", "/fetch/archives/maxBytes"),
    ("fetch.parallel", 65, "/fetch/parallel"),
    ("fetch.extraEgress", [{"from": []}], "from"),
    ("networkPolicy.enabled", "true", "/networkPolicy/enabled"),
    ("operator.scope", "all", "/operator/scope"),
    ("operator.namespaces", "team-a", "/operator/namespaces"),
    ("operator.namespaces", ["Team_A"], "/operator/namespaces/0"),
    ("operator.replicas", 2, "replicas"),
    ("operator.logLevel", "info", "/operator/logLevel"),
    ("operator.progressIntervalSeconds", 0, "/operator/progressIntervalSeconds"),
    ("operator.metrics.serviceMonitor", True, "serviceMonitor"),
    ("operator.resources.request", {}, "request"),
    ("operator.affinity.nodeAfinity", {}, "nodeAfinity"),
    ("api.replicas", 0, "/api/replicas"),
    ("api.defaults.cpu", -2, "/api/defaults/cpu"),
    ("api.defaults.memory", "1Pi", "/api/defaults/memory"),
    ("api.defaults.memory", "100000000000000.0", "/api/defaults/memory"),
    ("api.service.type", "nodePort", "/api/service/type"),
    ("api.service.port", 70000, "/api/service/port"),
    ("api.service.nodeport", 30066, "nodeport"),
    ("api.service.externalTrafficPolicy", "local", "/api/service/externalTrafficPolicy"),
    ("api.defaults.shm", "8Gi", "shm"),
    ("api.ingress.host", "x", "host"),
    ("api.ingress.tls", [{"secret": "x"}], "secret"),
    ("api.serviceAccount.annotations", {"a": 1}, "/api/serviceAccount/annotations/a"),
    ("api.extraEnv", [{"value": "x"}], "/api/extraEnv/0"),
    ("api.extraEnv", [{"name": "A", "val": "x"}], "val"),
    ("api.gpuAgents", "http://agents:8085", "/api/gpuAgents"),
    ("api.gpuAgents", "agents:0", "/api/gpuAgents"),
    ("api.gpuAgents", "agents:65536", "/api/gpuAgents"),
    ("api.gpuAgents", "agents..svc", "/api/gpuAgents"),
    ("gpuAgent.enable", True, "enable"),
    ("gpuAgent.namespace", "", "/gpuAgent/namespace"),
    ("gpuAgent.kubeletRoot", "var/lib/kubelet", "/gpuAgent/kubeletRoot"),
    ("gpuAgent.allowFrom", [{"podselector": {}}], "podselector"),
    ("gpuAgent.extraVolumes", [{"hostPath": {"path": "/x"}}], "/gpuAgent/extraVolumes/0"),
    ("dataAccess.image", {}, "image"),
]


@pytest.mark.parametrize(
    ("path", "value", "want"), MISTYPED, ids=[f"{path}={value}" for path, value, _ in MISTYPED]
)
def test_schema_refuses_and_names(chart: Chart, path: str, value: object, want: str) -> None:
    got = chart.refusal(nested(path, value))
    assert "meet the specifications of the schema" in got
    assert re.search(rf"'{re.escape(want)}'", got), got


ACCEPTED: list[tuple[str, object]] = [
    ("global", {"imageRegistry": "of a parent chart"}),
    ("trainer.prepare.cpu", 2),
    ("storage.data.size", "1.5Ti"),
    ("api.resources", {"limits": {"cpu": 2, "nvidia.com/gpu": 0}}),
    ("storage.gc.schedule", "*/5 1-3 * * 0,6"),
    ("fetch.ucdServer", "https://ucd.example.org:8443/base"),
    ("fetch.archives.hosts", ["example.org", "*.example.org", "10.0.0.7"]),
    ("fetch.extraEgress", [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]),
    ("timeZone", "America/Argentina/Buenos_Aires"),
    ("legacy.networks", ["192.168.0.0/16", "fe80::/10"]),
    ("api.gpuAgents", "agents.gpus.svc:65535"),
]


@pytest.mark.parametrize(("path", "value"), ACCEPTED)
def test_schema_takes(chart: Chart, path: str, value: object) -> None:
    chart.text(nested(path, value))


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its `$ref` followed; its own words win."""
    for part in schema.get("allOf", []):
        name = part["$ref"].rpartition("/")[2]
        schema = {**resolve(SCHEMA["definitions"][name]), **schema}
    return schema


def schema_paths(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every value that the schema knows, by its dotted path; list items and free maps are not looked into."""
    for key, part in schema.get("properties", {}).items():
        if key in {"global", *FREE_MAPS}:
            continue
        found = resolve(part)
        if "properties" in found:
            yield from schema_paths(found, f"{path}{key}.")
        else:
            yield f"{path}{key}", found


def value_paths(values: dict[str, Any], path: str = "") -> Iterator[str]:
    for key, value in values.items():
        if key in FREE_MAPS:
            continue
        if isinstance(value, dict):
            yield from value_paths(value, f"{path}{key}.")
        else:
            yield f"{path}{key}"


def test_schema_and_values_know_the_same() -> None:
    assert {path for path, _ in schema_paths(SCHEMA)} == set(value_paths(load_yaml(VALUES)))


def test_values_all_sets_everything() -> None:
    assert set(value_paths(load_yaml(ALL_VALUES))) == set(value_paths(load_yaml(VALUES)))


def objects_of(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if (
            "properties" in schema
            and isinstance(schema["properties"], dict)
            and schema.get("type") == "object"
        ):
            yield schema
        for part in schema.values():
            yield from objects_of(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from objects_of(part)


def test_schema_refuses_unknown_keys_at_every_level() -> None:
    levels = list(objects_of(SCHEMA))
    assert len(levels) > 20
    assert all(level["additionalProperties"] is False for level in levels)


OLDER_LACK = ("unserved", "uninstall", "chown", "ownNamespace", "keepFinishedJobSeconds")
"""Values of an older chart (`--reuse-values`) have none of these; the templates know their defaults."""
NULL_MEANS = ("runAsUser", "runAsGroup", "nodePort", "resources", "nodeSelector", "affinity", "tolerations")
"""Null is said to mean something there, or means the same as empty."""
EMPTY: tuple[object, ...] = ("", [], {}, None)


def settings(values: dict[str, Any], *folder: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Path → default, but for what stands below a free map or may be left out."""
    for key, value in values.items():
        if key not in OLDER_LACK + NULL_MEANS:
            yield (*folder, key), value
            if isinstance(value, dict):
                yield from settings(value, *folder, key)


DEFAULTS = list(settings(load_yaml(VALUES)))
EVERYTHING = merge(
    *(nested(key, True) for key in ("dataAccess.enabled", "gpuAgent.enabled", "fetch.archives.enabled")),
    *(nested(key, True) for key in ("operator.metrics.service", "api.ingress.enabled")),
    nested("storage.gc.schedule", "@daily"),
    nested("api.ingress.hosts", ["yolo.example.org"]),
)


@pytest.mark.parametrize("path", [".".join(path) for path, value in DEFAULTS if value not in EMPTY])
def test_setting_that_is_never_empty_is_not_taken_as_null(chart: Chart, path: str) -> None:
    """Null would switch off without a word: what keeps trainings and volumes, or the network policies."""
    key = path.rpartition(".")[2]
    assert re.search(rf"missing propert\w+ .*'{key}'", chart.refusal(merge(EVERYTHING, nested(path, None))))


def test_empty_setting_may_be_null_and_means_the_same(chart: Chart) -> None:
    emptied = [".".join(path) for path, value in DEFAULTS if value in EMPTY and path[-1] != "hosts"]
    assert {"imagePullSecrets", "trainer.podLabels", "gpuAgent.extraEnv", "legacy.networks"} <= set(emptied)
    nulls = merge(*(nested(path, None) for path in emptied), EVERYTHING)
    assert chart.objects(nulls) == chart.objects(EVERYTHING)


def test_nodes_labels_may_be_null(chart: Chart) -> None:
    """As the agent's own line in `values.yaml` says."""
    labels = [f"{part}.nodeSelector" for part in ("gpuAgent", "storage", "trainer", "operator", "api")]
    assert "gpu.present" in chart.text(EVERYTHING)
    assert "gpu.present" not in chart.text(merge(EVERYTHING, *(nested(path, None) for path in labels)))


def test_schema_describes_every_value() -> None:
    assert [path for path, part in schema_paths(SCHEMA) if not part.get("description")] == []


def test_values_are_each_explained() -> None:
    """The line above every setting is a comment; a group's own line needs none."""
    lines = VALUES.read_text(encoding="utf-8").splitlines()
    unexplained = []

    def walk(node: yaml.MappingNode, path: str) -> None:
        for key, value in node.value:
            commented = lines[key.start_mark.line - 1].lstrip().startswith("#")
            if isinstance(value, yaml.MappingNode) and value.value and not commented:
                walk(value, f"{path}{key.value}.")
            elif not commented:
                unexplained.append(f"{path}{key.value}")
            elif isinstance(value, yaml.MappingNode) and key.value != "resources":
                walk(value, f"{path}{key.value}.")

    root = yaml.compose(VALUES.read_text(encoding="utf-8"))
    assert isinstance(root, yaml.MappingNode)
    walk(root, "")
    assert unexplained == []
