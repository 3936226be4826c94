"""Every rendered object is valid, and every pod one that Pod Security `restricted` lets in."""

import re
from typing import Any

import kubernetes_validate
import pytest
from kubernetes.client import models

from chart.rendering import (
    ALL_VALUES,
    FOLDER,
    NAMESPACE,
    Chart,
    container,
    load_yaml,
    merge,
    nested,
    pod_spec,
)

pytestmark = pytest.mark.chart

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "all": load_yaml(ALL_VALUES),
    "further-namespace": load_yaml(FOLDER / "ci" / "values-further-namespace.yaml"),
    "cluster": nested("operator.scope", "cluster"),
    "existing-claims": {"storage": {name: {"existingClaim": name} for name in ("data", "runs")}},
    "chown": nested("storage.chown.enabled", True),
    "bare": {
        "api": {"resources": {"requests": None, "limits": None}},
        "operator": {"resources": {"requests": None, "limits": None}},
        "dataAccess": {"enabled": True, "resources": {"requests": None, "limits": None}},
    },
}
CLUSTER_WIDE = {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "Namespace",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}


@pytest.fixture(params=VARIANTS)
def objects(request: pytest.FixtureRequest, chart: Chart) -> list[dict[str, Any]]:
    return chart.objects(VARIANTS[request.param])


def pods(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [found for found in objects if found["kind"] in {"Deployment", "CronJob", "Job", "Pod"}]


def test_objects_are_valid_by_the_published_schemas(objects: list[dict[str, Any]]) -> None:
    for manifest in objects:
        kubernetes_validate.validate(manifest, "1.36", strict=True)


def test_objects_are_valid_by_the_clients_models(objects: list[dict[str, Any]]) -> None:
    for manifest in objects:
        getattr(models, f"V1{manifest['kind']}").model_validate(manifest)


def test_objects_have_a_namespace_exactly_where_their_kind_does(objects: list[dict[str, Any]]) -> None:
    for manifest in objects:
        assert ("namespace" in manifest["metadata"]) != (manifest["kind"] in CLUSTER_WIDE), manifest["kind"]


def test_names_are_names(objects: list[dict[str, Any]]) -> None:
    for manifest in objects:
        rbac = manifest["kind"] in {"ClusterRole", "ClusterRoleBinding"}
        pattern = r"[a-z0-9:.-]+" if rbac else r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?"
        assert re.fullmatch(pattern, manifest["metadata"]["name"])


def test_pods_are_restricted(objects: list[dict[str, Any]]) -> None:
    for manifest in pods(objects):
        if "chown" in manifest["metadata"]["name"]:
            continue  # root, where the installer asks for it: below
        pod, inner = pod_spec(manifest)["securityContext"], container(manifest)["securityContext"]
        assert pod["runAsNonRoot"] is True
        assert pod["runAsUser"] > 0
        assert pod["fsGroup"] == pod["runAsGroup"] > 0
        assert pod["fsGroupChangePolicy"] == "OnRootMismatch"
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert inner == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_gpu_agent_is_restricted_but_for_its_user_and_the_nodes_folder(chart: Chart) -> None:
    """The two exceptions that docs/gpus.md explains; all else is as `restricted` wants it."""
    agent = chart.one("DaemonSet", "yolo-gpu-agent", nested("gpuAgent.enabled", True))
    pod = pod_spec(agent)
    assert pod["securityContext"] == {
        "runAsUser": 0,
        "runAsGroup": 0,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container(agent)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [volume for volume in pod["volumes"] if "emptyDir" not in volume] == [
        {
            "name": "pod-resources",
            "hostPath": {"path": "/var/lib/kubelet/pod-resources", "type": "Directory"},
        }
    ]
    (mount,) = [mount for mount in container(agent)["volumeMounts"] if mount["name"] == "pod-resources"]
    assert mount["readOnly"] is True
    assert pod["automountServiceAccountToken"] is pod["enableServiceLinks"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "serviceAccountName"} & set(pod)


CHOWN: dict[str, Any] = merge(
    nested("podSecurity", {"runAsUser": 1000680000, "runAsGroup": 1000680001}),
    nested("storage.chown.enabled", True),
)


def test_chown_job_is_root_with_two_rights_and_nothing_else(chart: Chart) -> None:
    """Both rights are among those that Pod Security `baseline` lets in (kubernetes.io)."""
    job = chart.one("Job", "yolo-chown-1", CHOWN)
    pod = pod_spec(job)
    assert pod["securityContext"] == {
        "runAsUser": 0,
        "runAsGroup": 0,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container(job)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"], "add": ["CHOWN", "DAC_OVERRIDE"]},
    }
    assert container(job)["command"] == ["python", "-m", "yolo_api.chown"]
    assert container(job)["args"] == ["1000680000", "1000680001", "/data", "/runs"]
    mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in container(job)["volumeMounts"]}
    assert mounts == {"/tmp": False, "/data": False, "/runs": False}
    assert pod["automountServiceAccountToken"] is pod["enableServiceLinks"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "serviceAccountName"} & set(pod)


def test_no_pod_is_root_unless_it_is_asked_for(chart: Chart) -> None:
    assert not [
        found for found in pods(chart.objects()) if pod_spec(found)["securityContext"]["runAsUser"] == 0
    ]


def test_pods_can_write_to_tmp_and_hold_no_token_that_they_do_not_need(objects: list[dict[str, Any]]) -> None:
    for manifest in pods(objects):
        assert {"name": "tmp", "mountPath": "/tmp"} in container(manifest)["volumeMounts"]
        (tmp,) = [volume for volume in pod_spec(manifest)["volumes"] if volume["name"] == "tmp"]
        assert "sizeLimit" in tmp["emptyDir"]
        talks = container(manifest)["name"] in {"operator", "api", "farewell"}
        assert pod_spec(manifest)["automountServiceAccountToken"] is talks


def test_pods_get_no_service_links(objects: list[dict[str, Any]]) -> None:
    """A Service `yolo-api` would set YOLO_API_PORT=tcp://…, which is the façade's own setting."""
    for manifest in pods(objects):
        assert pod_spec(manifest)["enableServiceLinks"] is False


def test_only_the_data_pod_and_the_collector_may_write_the_data_volume(chart: Chart) -> None:
    values = merge(nested("dataAccess.enabled", True), nested("storage.gc.schedule", "@daily"))
    want = {
        "yolo-gc": {"/data": False, "/runs": True},
        "yolo-operator": {},
        "yolo-farewell": {},
        "yolo-api": {"/data": True, "/runs": False},
        "yolo-data": {"/data": False, "/runs": False},
        "yolo-test": {},
    }
    got = {}
    for manifest in pods(chart.objects(values)):
        mounts = container(manifest)["volumeMounts"]
        got[manifest["metadata"]["name"]] = {
            mount["mountPath"]: mount.get("readOnly", False) for mount in mounts if mount["name"] != "tmp"
        }
    assert got == want


def test_test_hook_is_no_part_of_the_release(chart: Chart) -> None:
    pod = chart.one("Pod", "yolo-test")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert pod["metadata"]["namespace"] == NAMESPACE
    assert container(pod)["args"][1:] == ["http://yolo-api:60066/healthz", "http://yolo-api:60066/readyz"]
