"""The chart and the programs agree: settings, rights, names, ports, and the definition."""

import http.server
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_settings import BaseSettings

import yolo_api.kube
import yolo_api.settings
import yolo_gpu_agent.settings
import yolo_operator.rights
import yolo_operator.settings
from chart.rendering import (
    ALL_VALUES,
    FOLDER,
    Chart,
    container,
    environment,
    load_yaml,
    nested,
    pod_spec,
)
from yolo_crds import gpus, meta
from yolo_crds.layout import DataVolume

pytestmark = pytest.mark.chart

ALL: dict[str, Any] = load_yaml(ALL_VALUES)
Rules = dict[tuple[str, str], set[str]]

NOT_SET: dict[str, set[str]] = {
    "operator": set(),
    "api": {"YOLO_API_HOST"},  # a pod listens on all of its addresses
}
"""Settings that the chart leaves alone, and why."""
SETTINGS: dict[str, type[BaseSettings]] = {
    "operator": yolo_operator.settings.Settings,
    "api": yolo_api.settings.Settings,
}
DEFAULT_SETTINGS: dict[str, dict[str, Any]] = {
    "operator": {
        "namespaces": ["train"],
        "trainer_image": "yolo-operator/trainer:0.1.0",
        "data_claim": "yolo-data",
        "runs_claim": "yolo-runs",
        "node_selector": {},
        "tolerations": [],
        "image_pull_secrets": [],
        "service_account": "",
        "run_as_user": 1000,
        "network_policies": True,
        "gang_timeout_seconds": 300,
        "fetch": None,
    },
    "api": {
        "legacy_anonymous": False,
        "legacy_anonymous_networks": [],
        "legacy_destructive_get": True,
        "default_memory": None,
        "audience": "yolo-api",
        "port": 60066,
        "fetch": None,
    },
}
ALL_FETCH: dict[str, Any] = {
    "ucdServer": "http://192.0.2.7:8080/ucds",
    "archives": True,
    "archiveHosts": ["downloads.example.org", "*.blob.example.org"],
    "parallel": 4,
    "maxImageBytes": 1 << 20,
    "maxArchiveBytes": 1 << 30,
}
ALL_SETTINGS: dict[str, dict[str, Any]] = {
    "operator": {
        "namespaces": ["team-a", "team-b"],
        "trainer_image": "registry.example.org/ml/own/trainer@" + ALL["trainer"]["image"]["digest"],
        "trainer_image_pull_policy": "Always",
        "data_claim": "images",
        "runs_claim": "results",
        "node_selector": {"gpu": "a100", "kubernetes.io/hostname": "node-1"},
        "tolerations": ALL["trainer"]["tolerations"],
        "image_pull_secrets": ["registry-login"],
        "service_account": "trainings",
        "run_as_user": 2000,
        "run_as_group": 3000,
        "prepare_cpu": "4",
        "prepare_memory": "8Gi",
        "pod_labels": {"cost-center": "4711", "sidecar.istio.io/inject": "true"},
        "pod_annotations": {"example.org/owner": "vision"},
        "refuse_sidecars": False,
        "limit_cpu": True,
        "queue_name": "gpus",
        "prepare_queue_name": "cpus",
        "network_policies": True,
        "gang_timeout_seconds": 120,
        "time_zone": "Asia/Shanghai",
        "log_level": "DEBUG",
        "progress_interval_seconds": 5,
        "resync_seconds": 60,
        "fetch": ALL_FETCH,
    },
    "api": {
        "legacy_anonymous": True,
        "legacy_anonymous_networks": ["10.0.0.0/8", "fd00::/8"],
        "legacy_destructive_get": False,
        "default_cpu": "8",
        "default_memory": "32Gi",
        "default_shared_memory": "16Gi",
        "audience": "trainings",
        "time_zone": "Asia/Shanghai",
        "log_level": "WARNING",
        "fetch": ALL_FETCH,
    },
}


@pytest.mark.parametrize("component", ["operator", "api"])
def test_environment_sets_every_setting_and_no_other(chart: Chart, component: str) -> None:
    settings = SETTINGS[component]
    want = {f"{settings.model_config.get('env_prefix')}{name.upper()}" for name in settings.model_fields}
    extra = {entry["name"] for entry in ALL[component]["extraEnv"]}
    deployment = chart.one("Deployment", f"training-{component}", ALL)
    assert {entry["name"] for entry in container(deployment)["env"]} - extra == want - NOT_SET[component]


@pytest.mark.parametrize("component", ["operator", "api"])
@pytest.mark.parametrize(
    ("values", "name", "wanted"), [({}, "yolo", DEFAULT_SETTINGS), (ALL, "training", ALL_SETTINGS)]
)
def test_environment_is_read_as_meant(
    chart: Chart,
    monkeypatch: pytest.MonkeyPatch,
    component: str,
    values: dict[str, Any],
    name: str,
    wanted: dict[str, dict[str, Any]],
) -> None:
    for variable, value in environment(chart.one("Deployment", f"{name}-{component}", values)).items():
        monkeypatch.setenv(variable, value)
    got = SETTINGS[component]().model_dump(mode="json", by_alias=True)
    want = wanted[component]
    assert {key: got[key] for key in want} == want


def test_gpu_agent_gets_its_settings_and_what_nvidias_runtime_reads(
    chart: Chart, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = chart.one("DaemonSet", "yolo-gpu-agent", nested("gpuAgent.enabled", True))
    settings = yolo_gpu_agent.settings.Settings
    want = {f"YOLO_GPU_AGENT_{name.upper()}" for name in settings.model_fields} - {"YOLO_GPU_AGENT_HOST"}
    nvidia = {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "utility"}
    assert {entry["name"] for entry in container(agent)["env"]} == want | set(nvidia)
    variables = environment(agent)
    assert nvidia.items() <= variables.items()
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    got = settings(node="n")
    (port,) = container(agent)["ports"]
    (service,) = chart.one("Service", "yolo-gpu-agent", nested("gpuAgent.enabled", True))["spec"]["ports"]
    assert got.port == port["containerPort"] == service["port"] == gpus.AGENT_PORT
    (mount,) = [m for m in container(agent)["volumeMounts"] if m["name"] == "pod-resources"]
    assert str(got.pod_resources_socket.parent) == mount["mountPath"]


def test_gpu_agent_leaves_a_node_whose_driver_is_upgraded(chart: Chart) -> None:
    """The GPU operator changes `true` to these words; older ones know no such label."""
    agent = chart.one("DaemonSet", "yolo-gpu-agent", nested("gpuAgent.enabled", True))
    required = pod_spec(agent)["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    ((rule,),) = [term["matchExpressions"] for term in required["nodeSelectorTerms"]]
    assert (rule["key"], rule["operator"]) == ("nvidia.com/gpu.deploy.client", "NotIn")
    assert rule["values"] == ["paused-for-driver-upgrade", "paused-for-mig-change"]


@pytest.mark.parametrize(
    ("values", "want"),
    [
        ({}, None),
        ({"gpuAgent": {"enabled": True}}, "yolo-gpu-agent.yolo-gpu-agent.svc:8085"),
        ({"api": {"gpuAgents": "other-gpu-agent.gpus.svc"}}, "other-gpu-agent.gpus.svc"),
    ],
)
def test_facade_asks_the_agents_that_there_are(
    chart: Chart, values: dict[str, Any], want: str | None
) -> None:
    assert environment(chart.one("Deployment", "yolo-api", values)).get("YOLO_API_GPU_AGENTS") == want


def test_network_policy_lets_facades_and_the_named_ask_the_agents(chart: Chart) -> None:
    def peers(values: dict[str, Any]) -> list[dict[str, Any]]:
        policy = chart.one("NetworkPolicy", "yolo-gpu-agent", values)
        assert policy["metadata"]["namespace"] == "yolo-gpu-agent"
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        assert "egress" not in policy["spec"]
        (rule,) = policy["spec"]["ingress"]
        found: list[dict[str, Any]] = rule["from"]
        return found

    prometheus = {"namespaceSelector": {"matchLabels": {"a": "b"}}}
    facades, named = peers({"gpuAgent": {"enabled": True, "allowFrom": [prometheus]}})
    assert named == prometheus
    facade = chart.one("Deployment", "yolo-api")["spec"]["template"]["metadata"]["labels"]
    assert facades["podSelector"]["matchLabels"].items() <= facade.items()
    (namespaces,) = facades["namespaceSelector"]["matchExpressions"]
    assert namespaces["values"] == ["train"]
    (all_facades,) = peers({"gpuAgent": {"enabled": True}, "operator": {"scope": "cluster"}})
    assert all_facades["namespaceSelector"] == {}


def test_scope_cluster_serves_all_namespaces(chart: Chart) -> None:
    operator = chart.one("Deployment", "yolo-operator", nested("operator.scope", "cluster"))
    assert environment(operator)["YOLO_OPERATOR_NAMESPACES"] == "[]"


def rules_of(role: dict[str, Any]) -> Rules:
    """A role's rules as (group, resource) → verbs; each pair stands in one rule only."""
    found: Rules = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                assert (group, resource) not in found
                found[group, resource] = set(rule["verbs"])
    return found


AUTH_DELEGATOR: Rules = {
    ("authentication.k8s.io", "tokenreviews"): {"create"},
    ("authorization.k8s.io", "subjectaccessreviews"): {"create"},
}
"""What the API server's built-in ClusterRole system:auth-delegator grants."""


def test_operators_role_is_what_it_calls(chart: Chart) -> None:
    """kopf needs nothing beyond these: its watches stand in the same tables."""
    want = {(group, resource): set(verbs) for group, resource, verbs in yolo_operator.rights.RBAC}
    assert rules_of(chart.one("Role", "yolo-operator")) == want


def test_operators_role_leaves_kueue_alone_where_it_is_told_to(chart: Chart) -> None:
    found = rules_of(chart.one("Role", "yolo-operator", nested("rbac.kueue", value=False)))
    want = {(group, resource): set(verbs) for group, resource, verbs in yolo_operator.rights.RBAC}
    assert found == {rule: verbs for rule, verbs in want.items() if "kueue" not in rule[0]}


def test_operator_makes_no_policies_where_the_chart_makes_none(chart: Chart) -> None:
    values = nested("networkPolicy.enabled", value=False)
    assert ("networking.k8s.io", "networkpolicies") not in rules_of(
        chart.one("Role", "yolo-operator", values)
    )
    variables = environment(chart.one("Deployment", "yolo-operator", values))
    assert variables["YOLO_OPERATOR_NETWORK_POLICIES"] == "false"


def test_operators_cluster_role_is_what_it_calls(chart: Chart) -> None:
    table = [*yolo_operator.rights.RBAC, *yolo_operator.rights.RBAC_CLUSTER]
    want = {(group, resource): set(verbs) for group, resource, verbs in table}
    role = chart.one("ClusterRole", "train:yolo:operator", nested("operator.scope", "cluster"))
    assert rules_of(role) == want


def test_operators_look_at_nodes_is_what_it_calls(chart: Chart) -> None:
    def look(**rbac: bool) -> Rules:
        return rules_of(chart.one("ClusterRole", "train:yolo:operator-nodes", {"rbac": rbac}))

    nodes, pods = (
        {(group, resource): set(verbs) for group, resource, verbs in table}
        for table in (yolo_operator.rights.RBAC_NODES, yolo_operator.rights.RBAC_ALL_PODS)
    )
    assert look() == nodes
    assert look(allPods=True) == nodes | pods
    assert look(nodes=False, allPods=True) == pods


def test_farewells_roles_are_what_it_calls(chart: Chart) -> None:
    served, own = (
        {(group, resource): set(verbs) for group, resource, verbs in table}
        for table in (yolo_operator.rights.RBAC_FAREWELL, yolo_operator.rights.RBAC_FAREWELL_OWN)
    )
    assert rules_of(chart.one("Role", "yolo-farewell")) == served
    assert (
        rules_of(chart.one("ClusterRole", "train:yolo:farewell", nested("operator.scope", "cluster")))
        == served
    )
    assert rules_of(chart.one("Role", "yolo-farewell-own")) == own


def test_farewell_is_told_of_the_operator(chart: Chart, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in environment(chart.one("Job", "yolo-farewell")).items():
        monkeypatch.setenv(variable, value)
    got = yolo_operator.settings.FarewellSettings()
    operator = chart.one("Deployment", got.deployment)
    labels = operator["spec"]["template"]["metadata"]["labels"]
    assert dict(pair.split("=") for pair in got.operator_selector.split(",")).items() <= labels.items()
    assert (got.release, got.own_namespace, got.namespaces, got.stop) == ("yolo", "train", ["train"], False)
    job = chart.one("Job", "yolo-farewell")["spec"]
    assert got.stop_seconds + got.operator_seconds < job["activeDeadlineSeconds"] < 300, "what helm waits"


def test_facades_role_is_what_it_calls(chart: Chart) -> None:
    table = {key: set(verbs) for key, verbs in yolo_api.kube.RBAC.items()}
    binding = chart.one("ClusterRoleBinding", "train:yolo:api-auth-delegator")
    assert binding["roleRef"]["name"] == "system:auth-delegator"
    assert rules_of(chart.one("Role", "yolo-api")) | AUTH_DELEGATOR == table


def test_bindings_name_roles_and_accounts_that_exist(chart: Chart) -> None:
    for values in ({}, ALL, nested("operator.scope", "cluster")):
        objects = chart.objects(values)
        there = {
            (found["kind"], found["metadata"].get("namespace"), found["metadata"]["name"])
            for found in objects
        } | {("ClusterRole", None, "system:auth-delegator")}
        for binding in (found for found in objects if found["kind"].endswith("RoleBinding")):
            role = binding["roleRef"]
            assert (role["kind"], binding["metadata"].get("namespace"), role["name"]) in there
            for subject in binding["subjects"]:
                if role["name"].endswith(("-serves", ":serves")):
                    continue  # a marker: the account need not exist
                assert (subject["kind"], subject["namespace"], subject["name"]) in there


def test_network_policy_denies_pods_with_the_operators_labels(chart: Chart) -> None:
    want = {
        "podSelector": {
            "matchLabels": {meta.LABEL_MANAGED_BY: meta.MANAGED_BY, meta.LABEL_EGRESS: str(meta.Egress.NONE)}
        },
        "policyTypes": ["Ingress", "Egress"],
    }
    assert chart.one("NetworkPolicy", "yolo-training-pods")["spec"] == want


def test_network_policy_leaves_pods_on_several_nodes_dns_alone(chart: Chart) -> None:
    """What opens them to each other is the operator's, for each training by itself."""
    got = chart.one("NetworkPolicy", "yolo-gang-pods")["spec"]
    labels = {meta.LABEL_MANAGED_BY: meta.MANAGED_BY, meta.LABEL_EGRESS: str(meta.Egress.GANG)}
    dns = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    assert got == {
        "podSelector": {"matchLabels": labels},
        "policyTypes": ["Ingress", "Egress"],
        "egress": [{"ports": dns}],
    }


@pytest.mark.parametrize("name", ["view", "edit"])
def test_aggregated_roles_speak_of_trainings_only(chart: Chart, name: str) -> None:
    role = chart.one("ClusterRole", f"train:yolo:{name}")
    assert role["metadata"]["labels"][f"rbac.authorization.k8s.io/aggregate-to-{name}"] == "true"
    assert {group for group, _ in rules_of(role)} == {meta.GROUP}
    assert {resource.partition("/")[0] for _, resource in rules_of(role)} == {meta.PLURAL}


def test_definition_is_the_generated_one(chart: Chart) -> None:
    got = chart.one("CustomResourceDefinition", f"{meta.PLURAL}.{meta.GROUP}")
    want = load_yaml(FOLDER / "files" / "yolotrainings.yaml")
    assert got["spec"] == want["spec"]
    assert got["metadata"]["name"] == want["metadata"]["name"]


@pytest.mark.parametrize("component", ["operator", "api"])
def test_probes_ask_ports_that_the_settings_open(chart: Chart, component: str) -> None:
    deployment = chart.one("Deployment", f"yolo-{component}")
    ports = {port["name"]: str(port["containerPort"]) for port in container(deployment)["ports"]}
    variables = environment(deployment)
    want = {
        "operator": {
            "metrics": variables.get("YOLO_OPERATOR_METRICS_PORT"),
            "health": variables.get("YOLO_OPERATOR_HEALTH_PORT"),
        },
        "api": {"http": variables.get("YOLO_API_PORT")},
    }[component]
    assert ports == want
    probes = [value for key, value in container(deployment).items() if key.endswith("Probe")]
    assert probes
    assert {probe["httpGet"]["port"] for probe in probes} <= set(ports)


def test_services_select_their_pods_and_name_their_ports(chart: Chart) -> None:
    objects = chart.objects(ALL)
    for service in (found for found in objects if found["kind"] == "Service"):
        (target,) = [
            found
            for found in objects
            if found["kind"] in {"Deployment", "DaemonSet"}
            and service["spec"]["selector"].items() <= found["spec"]["template"]["metadata"]["labels"].items()
        ]
        names = {port["name"] for port in container(target)["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names


class _Once(http.server.BaseHTTPRequestHandler):
    """Refuses /late once, then answers; what a façade does that has just started."""

    refused = False

    def do_GET(self) -> None:
        late = self.path == "/late" and not _Once.refused
        _Once.refused = _Once.refused or late
        self.send_response(503 if late else 200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Once) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_helm_tests_program_waits_for_the_facade(chart: Chart, url: str) -> None:
    program = container(chart.one("Pod", "yolo-test"))["args"][0]
    done = subprocess.run(
        [sys.executable, "-c", program, f"{url}/healthz", f"{url}/late"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["200", "200"]


def test_data_pods_program_makes_the_users_folders_and_leaves_when_asked(
    chart: Chart, tmp_path: Path
) -> None:
    args = container(chart.one("Deployment", "yolo-data", nested("dataAccess.enabled", True)))["args"]
    program = args[0].replace("while True", "print(flush=True)\nwhile True")
    (tmp_path / "ucd").write_text("in the way of a folder")
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"/data/ucd cannot be made: File exists\n"
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    made = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    volume = DataVolume(tmp_path)
    assert made == {path.name for path in (volume.datasets, volume.images, volume.weights)}
