"""What is rendered: the golden default, every switch, and what is refused with a sentence for a person."""

import json
import os
import tomllib
from typing import Any

import pytest
import yaml

from chart.rendering import (
    ALL_VALUES,
    FOLDER,
    NAMESPACE,
    REPOSITORY,
    Chart,
    container,
    environment,
    load_yaml,
    merge,
    nested,
    pod_spec,
)

pytestmark = pytest.mark.chart

GOLDEN = REPOSITORY / "tests" / "golden" / "chart-default.yaml"
SINGLE_NODE = {
    "storage": {"data": {"accessModes": ["ReadWriteOnce"]}, "runs": {"accessModes": ["ReadWriteOnce"]}}
}


def names(objects: list[dict[str, Any]]) -> set[str]:
    """`Kind namespace/name` of each object; the namespace is left out where it is the release's or none."""
    found = set()
    for manifest in objects:
        metadata = manifest["metadata"]
        foreign = metadata.get("namespace", NAMESPACE) != NAMESPACE
        found.add(f"{manifest['kind']} {metadata['namespace'] + '/' if foreign else ''}{metadata['name']}")
    assert len(found) == len(objects), "two objects of one name"
    return found


def test_default_equals_golden(chart: Chart) -> None:
    """`UPDATE_GOLDEN=1 pytest tests/chart` writes the file anew. The definition has its own test."""
    got = yaml.safe_dump_all(
        (found for found in chart.objects() if found["kind"] != "CustomResourceDefinition"),
        sort_keys=False,
        allow_unicode=True,
    )
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(got, encoding="utf-8")
    assert got == GOLDEN.read_text(encoding="utf-8")


def test_lint_finds_nothing(chart: Chart) -> None:
    every_value: dict[str, Any] = load_yaml(ALL_VALUES)
    for values in ({}, every_value):
        done = chart.run("lint", str(FOLDER), "--strict", values=values)
        assert done.returncode == 0, done.stdout


def test_versions_are_those_of_the_distribution() -> None:
    want = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    found = load_yaml(FOLDER / "Chart.yaml")
    assert (found["version"], found["appVersion"]) == (want, want)


def test_every_template_is_rendered_by_values_all(chart: Chart) -> None:
    text = chart.text(load_yaml(ALL_VALUES))
    want = {path.relative_to(FOLDER).as_posix() for path in (FOLDER / "templates").rglob("*.yaml")}
    got = {
        line.removeprefix("# Source: yolo-operator/")
        for line in text.splitlines()
        if line.startswith("# Source: ")
    }
    assert got == want


ADDED: list[tuple[str, object, set[str]]] = [
    ("operator.metrics.service", True, {"Service yolo-operator-metrics"}),
    ("dataAccess.enabled", True, {"Deployment yolo-data"}),
    ("storage.gc.schedule", "@daily", {"CronJob yolo-gc"}),
    ("fetch.ucdServer", "http://ucd.example.org", {"NetworkPolicy yolo-fetching-pods"}),
    ("fetch.archives.enabled", True, {"NetworkPolicy yolo-fetching-pods"}),
    (
        "gpuAgent.enabled",
        True,
        {
            "Namespace yolo-gpu-agent",
            "DaemonSet yolo-gpu-agent/yolo-gpu-agent",
            "Service yolo-gpu-agent/yolo-gpu-agent",
            "NetworkPolicy yolo-gpu-agent/yolo-gpu-agent",
        },
    ),
    ("api.ingress", {"enabled": True, "hosts": ["a.example.org"]}, {"Ingress yolo-api"}),
    (
        "operator.namespaces",
        [NAMESPACE, "other"],
        {
            "Role other/yolo-operator",
            "RoleBinding other/yolo-operator",
            f"NetworkPolicy other/{NAMESPACE}.yolo-training-pods",
            f"NetworkPolicy other/{NAMESPACE}.yolo-gang-pods",
            "Role other/yolo-serves",
            "RoleBinding other/yolo-serves",
            "Role other/yolo-farewell",
            "RoleBinding other/yolo-farewell",
        },
    ),
]
POLICY = {
    "ValidatingAdmissionPolicy yolotrainings-served",
    "ValidatingAdmissionPolicyBinding yolotrainings-served",
}
SERVES = {"Role yolo-serves", "RoleBinding yolo-serves"}
FAREWELL = {
    "ServiceAccount yolo-farewell",
    "Role yolo-farewell",
    "RoleBinding yolo-farewell",
    "Role yolo-farewell-own",
    "RoleBinding yolo-farewell-own",
    "Job yolo-farewell",
}
EDITS = {f"ValidatingAdmissionPolicy{binding} yolotrainings-edits" for binding in ("", "Binding")}
REMOVED: list[tuple[str, object, set[str]]] = [
    ("crds.enabled", False, {"CustomResourceDefinition yolotrainings.yolo.training", *POLICY, *EDITS}),
    ("unserved.action", "Off", POLICY),
    ("uninstall.trainings", "Ignore", FAREWELL),
    ("networkPolicy.enabled", False, {"NetworkPolicy yolo-training-pods", "NetworkPolicy yolo-gang-pods"}),
    ("rbac.aggregateRoles", False, {"ClusterRole train:yolo:view", "ClusterRole train:yolo:edit"}),
    (
        "rbac.nodes",
        False,
        {"ClusterRole train:yolo:operator-nodes", "ClusterRoleBinding train:yolo:operator-nodes"},
    ),
    ("rbac.authDelegation", False, {"ClusterRoleBinding train:yolo:api-auth-delegator"}),
    (
        "rbac.create",
        False,
        {
            "ClusterRole train:yolo:operator-nodes",
            "ClusterRoleBinding train:yolo:operator-nodes",
            "Role yolo-operator",
            "RoleBinding yolo-operator",
            "Role yolo-api",
            "RoleBinding yolo-api",
            "ClusterRoleBinding train:yolo:api-auth-delegator",
            "ClusterRole train:yolo:view",
            "ClusterRole train:yolo:edit",
            *POLICY,
            *SERVES,
            *FAREWELL,
        },
    ),
    (
        "operator.enabled",
        False,
        {
            "ClusterRole train:yolo:operator-nodes",
            "ClusterRoleBinding train:yolo:operator-nodes",
            "Deployment yolo-operator",
            "ServiceAccount yolo-operator",
            "Role yolo-operator",
            "RoleBinding yolo-operator",
            *SERVES,
            *FAREWELL,
        },
    ),
    (
        "api.enabled",
        False,
        {
            "Deployment yolo-api",
            "Service yolo-api",
            "ServiceAccount yolo-api",
            "Role yolo-api",
            "RoleBinding yolo-api",
            "ClusterRoleBinding train:yolo:api-auth-delegator",
            "Pod yolo-test",
        },
    ),
    ("api.serviceAccount", {"create": False, "name": "own"}, {"ServiceAccount yolo-api"}),
    ("operator.serviceAccount", {"create": False, "name": "own"}, {"ServiceAccount yolo-operator"}),
    ("storage.data.existingClaim", "own", {"PersistentVolumeClaim yolo-data"}),
    ("storage.runs.existingClaim", "own", {"PersistentVolumeClaim yolo-runs"}),
]


@pytest.mark.parametrize(("path", "value", "want"), ADDED, ids=[path for path, _, _ in ADDED])
def test_switch_adds_exactly(chart: Chart, path: str, value: object, want: set[str]) -> None:
    assert names(chart.objects(nested(path, value))) - names(chart.objects()) == want
    assert names(chart.objects()) <= names(chart.objects(nested(path, value)))


@pytest.mark.parametrize(("path", "value", "want"), REMOVED, ids=[path for path, _, _ in REMOVED])
def test_switch_removes_exactly(chart: Chart, path: str, value: object, want: set[str]) -> None:
    assert names(chart.objects()) - names(chart.objects(nested(path, value))) == want
    assert names(chart.objects(nested(path, value))) <= names(chart.objects())


def test_scope_cluster_replaces_roles_by_cluster_roles(chart: Chart) -> None:
    got, usual = names(chart.objects(nested("operator.scope", "cluster"))), names(chart.objects())
    names_of_roles = ("operator", "serves", "farewell")
    assert got - usual == {
        f"{kind} train:yolo:{name}"
        for kind in ("ClusterRole", "ClusterRoleBinding")
        for name in names_of_roles
    }
    assert usual - got == {
        f"{kind} yolo-{name}" for kind in ("Role", "RoleBinding") for name in names_of_roles
    }


def test_release_of_the_same_name_in_a_served_namespace_makes_other_objects(chart: Chart) -> None:
    fetch = nested("fetch.archives.enabled", True)
    server = chart.objects(merge(fetch, nested("operator.namespaces", ["other"])))
    there = {
        (one["kind"], one["metadata"]["name"])
        for one in server
        if one["metadata"].get("namespace") == "other"
    }
    further = chart.objects(merge(fetch, load_yaml(FOLDER / "ci" / "values-further-namespace.yaml")))
    own = {
        (one["kind"], one["metadata"]["name"])
        for one in further
        if one["metadata"].get("namespace", NAMESPACE) == NAMESPACE
    }
    assert sum(kind == "NetworkPolicy" for kind, _ in there) == 3
    assert sum(kind == "NetworkPolicy" for kind, _ in own) == 3
    assert not there & own


def test_namespaces_without_the_own_one_leave_it_unserved(chart: Chart) -> None:
    values = nested("operator", {"namespaces": ["team-a"], "ownNamespace": False})
    got = names(chart.objects(values))
    assert {"Role team-a/yolo-operator", f"NetworkPolicy team-a/{NAMESPACE}.yolo-training-pods"} <= got
    assert "Role yolo-operator" not in got
    assert "NetworkPolicy yolo-training-pods" in got, (
        "the façade's namespace has trainings of another operator"
    )
    (subject,) = next(
        found["subjects"]
        for found in chart.objects(values)
        if found["kind"] == "RoleBinding" and found["metadata"]["namespace"] == "team-a"
    )
    assert subject == {"kind": "ServiceAccount", "name": "yolo-operator", "namespace": NAMESPACE}


def test_further_namespace_renders_nothing_cluster_wide_but_the_review_binding(chart: Chart) -> None:
    objects = chart.objects(load_yaml(FOLDER / "ci" / "values-further-namespace.yaml"))
    assert names([found for found in objects if "namespace" not in found["metadata"]]) == {
        "ClusterRoleBinding train:yolo:api-auth-delegator"
    }
    assert {
        "PersistentVolumeClaim yolo-data",
        "PersistentVolumeClaim yolo-runs",
        "Deployment yolo-api",
    } <= names(objects)


@pytest.mark.parametrize("volume", ["data", "runs"])
def test_read_write_once_without_a_node_is_refused(chart: Chart, volume: str) -> None:
    got = chart.refusal(nested(f"storage.{volume}.accessModes", ["ReadWriteOnce"]))
    want = (
        f"storage.{volume}.accessModes: yolo-{volume} is ReadWriteOnce, a volume that only pods of one node "
        "can share, but storage.nodeSelector is empty. Name that node there, such as "
        r"--set storage.nodeSelector.kubernetes\\.io/hostname=NODE, or use ReadWriteMany."
    )
    assert want in got


def test_read_write_once_pins_every_pod_that_mounts_a_volume(chart: Chart) -> None:
    node = {"kubernetes.io/hostname": "node-1"}
    values = merge(SINGLE_NODE, nested("storage.nodeSelector", node), nested("dataAccess.enabled", True))
    assert pod_spec(chart.one("Deployment", "yolo-api", values))["nodeSelector"] == node
    assert pod_spec(chart.one("Deployment", "yolo-data", values))["nodeSelector"] == node
    operator = chart.one("Deployment", "yolo-operator", values)
    assert environment(operator)["YOLO_OPERATOR_NODE_SELECTOR"] == '{"kubernetes.io/hostname":"node-1"}'
    assert "nodeSelector" not in pod_spec(operator), "the operator mounts nothing"


CLAIMS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"storageClassName": "nfs"}, {"storageClassName": "nfs"}),
    ({"storageClassName": "-", "volumeName": "pv-1"}, {"storageClassName": "", "volumeName": "pv-1"}),
]


@pytest.mark.parametrize(("given", "want"), CLAIMS)
def test_claim_asks_for_its_class_and_volume(
    chart: Chart, given: dict[str, Any], want: dict[str, Any]
) -> None:
    spec = chart.one("PersistentVolumeClaim", "yolo-data", nested("storage.data", given))["spec"]
    got = {key: spec[key] for key in ("storageClassName", "volumeName") if key in spec}
    assert got == want


@pytest.mark.parametrize("keep", [True, False])
def test_uninstall_keeps_what_cannot_be_made_again(chart: Chart, keep: bool) -> None:
    values = merge(nested("storage.keep", keep), nested("crds.keep", keep))
    kept = {
        found["kind"]
        for found in chart.objects(values)
        if found["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"
    }
    assert kept == ({"PersistentVolumeClaim", "CustomResourceDefinition"} if keep else set())


def test_agents_namespace_stays_when_the_chart_no_longer_makes_it(chart: Chart) -> None:
    made = chart.one("Namespace", "gpus", {"gpuAgent": {"enabled": True, "namespace": "gpus"}})
    assert made["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    values = {"gpuAgent": {"enabled": True, "namespace": "gpus", "createNamespace": False}}
    kinds = [found["kind"] for found in chart.objects(values)]
    assert ("Namespace" in kinds, "DaemonSet" in kinds) == (False, True)


DIGEST = "sha256:" + "0" * 64
IMAGES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {}, "yolo-operator/api:0.1.0"),
    ({"registry": "r.example.org/ml"}, {}, "r.example.org/ml/yolo-operator/api:0.1.0"),
    ({"registry": "r.example.org/ml/", "tag": "2"}, {}, "r.example.org/ml/yolo-operator/api:2"),
    ({"tag": "2"}, {"tag": "3", "repository": "own"}, "own:3"),
    ({"tag": "2"}, {"tag": "3", "digest": DIGEST}, f"yolo-operator/api@{DIGEST}"),
]


@pytest.mark.parametrize(("common", "own", "want"), IMAGES)
def test_image_is_put_together(chart: Chart, common: dict[str, Any], own: dict[str, Any], want: str) -> None:
    values = {"image": common, "api": {"image": own}}
    assert container(chart.one("Deployment", "yolo-api", values))["image"] == want
    assert container(chart.one("Pod", "yolo-test", values))["image"] == want


def test_large_user_ids_of_a_values_file_stay_numbers(chart: Chart) -> None:
    """Helm reads numbers as floating point; 1.0007e+09 is no user."""
    values = nested("podSecurity", {"runAsUser": 1000700000, "runAsGroup": 1000700001})
    operator = chart.one("Deployment", "yolo-operator", values)
    assert pod_spec(operator)["securityContext"]["runAsUser"] == 1000700000
    assert environment(operator)["YOLO_OPERATOR_RUN_AS_GROUP"] == "1000700001"


def test_the_cluster_may_choose_users_and_groups(chart: Chart) -> None:
    """OpenShift gives every namespace a range of its own, and refuses pods that name an id outside of it."""
    null = nested("podSecurity", {"runAsUser": None, "runAsGroup": None})
    every = merge(load_yaml(ALL_VALUES), null, nested("storage.chown.enabled", False))
    kinds = {"Deployment", "CronJob", "Job", "Pod"}
    pods = [pod_spec(found) for found in chart.objects(every) if found["kind"] in kinds]
    assert len(pods) == 6
    for pod in pods:
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & pod["securityContext"].keys()
        assert pod["securityContext"]["runAsNonRoot"] is True
    operator = environment(chart.one("Deployment", "training-operator", every))
    assert not {"YOLO_OPERATOR_RUN_AS_USER", "YOLO_OPERATOR_RUN_AS_GROUP"} & operator.keys()


@pytest.mark.parametrize(
    ("given", "want"), [(2, "2"), (0.5, "0.5"), ("500m", "500m"), (17179869184, "17179869184")]
)
def test_quantities_may_be_numbers(chart: Chart, given: object, want: str) -> None:
    values = merge(nested("trainer.prepare.memory", given), nested("api.defaults.memory", given))
    operator = environment(chart.one("Deployment", "yolo-operator", values))
    assert operator["YOLO_OPERATOR_PREPARE_MEMORY"] == want
    assert environment(chart.one("Deployment", "yolo-api", values))["YOLO_API_DEFAULT_MEMORY"] == want


def test_pod_labels_never_change_the_selector(chart: Chart) -> None:
    values = merge(
        nested("commonLabels", {"app.kubernetes.io/component": "mine", "team": "a"}),
        nested("api.podLabels", {"app.kubernetes.io/name": "mine", "tier": "b"}),
    )
    spec = chart.one("Deployment", "yolo-api", values)["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    assert (labels["team"], labels["tier"]) == ("a", "b")


REFUSED: list[tuple[str, object, str]] = [
    ("api.ingress", {"enabled": True}, "api.ingress.hosts: empty, but api.ingress.enabled is true"),
    (
        "api.serviceAccount",
        {"create": False},
        "api.serviceAccount.name: needed because api.serviceAccount.create is false",
    ),
    ("operator.serviceAccount", {"create": False}, "operator.serviceAccount.name: needed"),
    (
        "operator.ownNamespace",
        False,
        "operator.ownNamespace: false, but operator.namespaces is empty, so that the operator would serve",
    ),
    (
        "gpuAgent",
        {"enabled": True, "namespace": NAMESPACE},
        "gpuAgent.namespace: train is the release's own and exists already; name another one, or set "
        "gpuAgent.createNamespace=false.",
    ),
]


def test_chown_job_needs_an_owner_to_give_the_files_to(chart: Chart) -> None:
    values = merge(nested("podSecurity.runAsUser", None), nested("storage.chown.enabled", True))
    assert "storage.chown.enabled: needs podSecurity.runAsUser and podSecurity.runAsGroup" in chart.refusal(
        values
    )


NAMESPACES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, [NAMESPACE]),
    ({"namespaces": ["team-a"]}, [NAMESPACE, "team-a"]),
    ({"namespaces": ["team-a", NAMESPACE]}, [NAMESPACE, "team-a"]),
    ({"namespaces": ["team-a"], "ownNamespace": False}, ["team-a"]),
]


@pytest.mark.parametrize(("given", "want"), NAMESPACES)
def test_named_namespaces_are_served_besides_the_releases_own(
    chart: Chart, given: dict[str, Any], want: list[str]
) -> None:
    """A role, its binding and the operator's own list: none may lack one of them."""
    values = nested("operator", given)
    operator = chart.one("Deployment", "yolo-operator", values)
    assert json.loads(environment(operator)["YOLO_OPERATOR_NAMESPACES"]) == want
    for kind in ("Role", "RoleBinding"):
        named = [found for found in chart.objects(values) if found["kind"] == kind]
        got = [
            found["metadata"]["namespace"] for found in named if found["metadata"]["name"] == "yolo-operator"
        ]
        assert got == want
    assert f"The operator serves {', '.join(want)}." in chart.notes(values)


@pytest.mark.parametrize(("path", "value", "want"), REFUSED, ids=[path for path, _, _ in REFUSED])
def test_settings_that_contradict_are_refused(chart: Chart, path: str, value: object, want: str) -> None:
    assert want in chart.refusal(nested(path, value))


def test_notes_show_three_commands_data_and_pending(chart: Chart) -> None:
    got = chart.notes()
    assert "helm test -n train yolo" in got
    assert "kubectl -n train port-forward service/yolo-api 60066" in got
    assert "kubectl -n train get yolotrainings -o wide --watch" in got
    assert "Bring data in, to the volume yolo-data" in got
    assert "--set dataAccess.enabled=true" in got
    assert "What Pending means" in got
    assert "What Unserved means" in got
    assert "Other namespaces" not in got
    assert all(len(line) <= 160 and line == line.rstrip() for line in got.splitlines())


def test_notes_follow_the_values(chart: Chart) -> None:
    got = chart.notes(load_yaml(ALL_VALUES))
    assert "The operator serves team-a, team-b." in got
    assert "exec -i deployment/training-data -- tar x -C /data" in got
    assert "Old clients may call without a token from 10.0.0.0/8, fd00::/8." in got
    assert "Other namespaces need claims of the same names, images and results" in got
    alone = chart.notes(merge(nested("operator.enabled", False), nested("api.enabled", False)))
    assert "There is no operator in this release" in alone
    assert "port-forward" not in alone


def test_policy_tells_where_the_release_serves(chart: Chart) -> None:
    def told(values: dict[str, Any]) -> str:
        (rule,) = chart.one("ValidatingAdmissionPolicy", "yolotrainings-served", values)["spec"][
            "validations"
        ]
        return str(rule["messageExpression"])

    assert "Release yolo of namespace train serves train, team-b: create it there" in told(
        nested("operator.namespaces", [NAMESPACE, "team-b"])
    )
    for nowhere_named in (nested("operator.scope", "cluster"), nested("operator.enabled", value=False)):
        assert "Create it where one does" in told(nowhere_named)


@pytest.mark.parametrize("action", ["Warn", "Deny"])
def test_policy_does_what_the_value_says(chart: Chart, action: str) -> None:
    values = nested("unserved.action", action)
    binding = chart.one("ValidatingAdmissionPolicyBinding", "yolotrainings-served", values)
    assert binding["spec"]["validationActions"] == [action]


@pytest.mark.parametrize(("trainings", "want"), [("Tell", "false"), ("Stop", "true")])
def test_uninstall_tells_or_stops_trainings(chart: Chart, trainings: str, want: str) -> None:
    job = chart.one("Job", "yolo-farewell", nested("uninstall.trainings", trainings))
    assert environment(job)["YOLO_FAREWELL_STOP"] == want


def test_everything_of_the_farewell_is_made_for_the_uninstall_alone(chart: Chart) -> None:
    """So no account with these rights is there while the release is."""
    found = [f for f in chart.objects() if "farewell" in f["metadata"]["name"]]
    assert {f["metadata"]["annotations"]["helm.sh/hook"] for f in found} == {"pre-delete"}
    assert names(found) == FAREWELL


def test_values_of_an_older_chart_mean_the_defaults(chart: Chart) -> None:
    """`helm upgrade --reuse-values` gives the templates no key that the earlier chart had not."""
    older = {
        "unserved": None,
        "uninstall": None,
        "operator": {"keepFinishedJobSeconds": None, "ownNamespace": None},
    }
    assert chart.objects(older) == chart.objects()


def test_chown_job_of_an_older_charts_values_asks_for_the_usual(chart: Chart) -> None:
    """A namespace with a quota lets in no pod without requests."""
    name = "yolo-chown-1"
    given = container(chart.one("Job", name, nested("storage.chown.enabled", True)))["resources"]
    older = nested("storage.chown", {"enabled": True, "resources": None})
    assert container(chart.one("Job", name, older))["resources"] == given


def test_release_without_an_operator_serves_nobody_and_says_nothing_of_it(chart: Chart) -> None:
    alone = {"enabled": False}
    both = chart.objects(nested("operator", {**alone, "ownNamespace": False}))
    assert both == chart.objects(nested("operator", alone))


@pytest.mark.parametrize(
    ("release", "other"), [("team.vision", "teamvision"), ("2nd-team", "nd-team"), ("7", "yolo")]
)
def test_release_whose_name_no_service_can_have_is_told_of_another(
    chart: Chart, release: str, other: str
) -> None:
    refused = chart.run("template", release, str(FOLDER))
    assert f"release name {release}: " in refused.stderr
    assert f"--set fullnameOverride={other}" in refused.stderr
    given = chart.run("template", release, str(FOLDER), values={"fullnameOverride": other})
    assert given.returncode == 0, given.stderr
