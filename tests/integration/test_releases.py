"""Several releases of the chart on a real API server: who serves what, and what belongs to whom."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from cluster.api import wait_for
from demo.install import CHART, System
from integration.api_server import serve_api
from yolo_crds.meta import LABEL_EGRESS, LABEL_MANAGED_BY, LABEL_TRAINING, MANAGED_BY, Egress

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

NAME = "test-releases"
FACADE_ONLY = ("crds.enabled=false", "operator.enabled=false", "rbac.aggregateRoles=false")
LABELS = {
    LABEL_TRAINING: "told",
    LABEL_MANAGED_BY: MANAGED_BY,
    LABEL_EGRESS: str(Egress.NONE),
}
JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "told-r1a1-train", "labels": LABELS},
    "spec": {
        "template": {
            "metadata": {"labels": LABELS},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "trainer", "image": "trainer"}]},
        }
    },
}
"""As the operator makes it, as far as it matters here."""
TRAINING = {
    "apiVersion": "yolo.training/v1alpha1",
    "kind": "YoloTraining",
    "metadata": {"name": "told"},
    "spec": {"suspend": True, "template": {"model": "yolo11n.yaml", "data": {"train": "datasets/none"}}},
}


def helm(
    system: System, verb: str, release: str, namespace: str, *values: str
) -> subprocess.CompletedProcess[str]:
    """`helm install` or `upgrade` of the chart, whose pods never run here."""
    sets = [f"--set={value}" for value in ("image.registry=registry.example.org", *values)]
    command = ["helm", verb, release, str(CHART), "--namespace", namespace, "--create-namespace", *sets]
    return system.run(*command, check=False)


def warning(system: System, namespace: str, *, dry_run: bool = True) -> str:
    """What the API server says of a training in that namespace, if anything."""
    dry = ["--dry-run=server"] if dry_run else []
    done = system.run(
        "kubectl",
        "--namespace",
        namespace,
        "create",
        *dry,
        "-f",
        "-",
        stdin=json.dumps(TRAINING),
        check=False,
    )
    return done.stderr


def until_said(system: System, namespace: str, words: str) -> str:
    """What the API server says there, once these words are in it; it hears of roles a moment late."""
    wait_for(f"{words!r} in {namespace}", lambda: words in warning(system, namespace), 20)
    return warning(system, namespace)


def until_silent(system: System, namespace: str) -> None:
    wait_for(f"no warning in {namespace}", lambda: warning(system, namespace) == "", 20)


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """Release `a` with the definition serves `a`, `b` serves `b` and `b2`, and `c` is a façade alone."""
    with serve_api(NAME) as system:
        for namespace in ("b2", "free"):
            system.kubectl("create", "namespace", namespace)
        system.kubectl("delete", "crd", "yolotrainings.yolo.training")
        for done in (
            helm(system, "install", "a", "a"),
            helm(system, "install", "b", "b", "crds.enabled=false", "operator.namespaces={b,b2}"),
            helm(system, "install", "c", "c", *FACADE_ONLY),
        ):
            assert done.returncode == 0, done.stderr
        wait = ("wait", "--for=condition=Established", "crd/yolotrainings.yolo.training", "--timeout=30s")
        system.kubectl(*wait)
        until_said(system, "free", "no operator serves")
        yield system


# who serves what


def test_the_api_server_warns_where_no_release_serves_and_nowhere_else(system: System) -> None:
    unserved = "no operator serves namespace {}: nothing will happen to this training"
    for namespace in ("c", "free"):
        said = warning(system, namespace)
        assert said.startswith("Warning: ")
        assert unserved.format(namespace) in said
        assert "Release a of namespace a serves a: create it there (kubectl -n)" in said
        assert "add this namespace to operator.namespaces" in said
    assert [warning(system, namespace) for namespace in ("a", "b", "b2")] == ["", "", ""]


def test_a_change_of_labels_is_not_worth_a_warning_one_of_the_spec_is(system: System) -> None:
    warning(system, "free", dry_run=False)
    patch = ("--namespace", "free", "patch", "yt", "told", "--type=merge", "--patch")
    label, spec = ({"metadata": {"labels": {"a": "b"}}}, {"spec": {"suspend": False}})
    try:
        assert system.run("kubectl", *patch, json.dumps(label)).stderr == ""
        assert "no operator serves namespace free" in system.run("kubectl", *patch, json.dumps(spec)).stderr
        status = json.dumps({"status": {"phase": "Pending"}})
        assert system.run("kubectl", *patch, status, "--subresource=status").stderr == ""
    finally:
        system.kubectl("--namespace", "free", "delete", "yt", "told")


def test_a_served_namespace_more_takes_the_warning_away(system: System) -> None:
    """What the warning tells to do."""
    try:
        done = helm(system, "upgrade", "b", "b", "crds.enabled=false", "operator.namespaces={b,b2,free}")
        assert done.returncode == 0, done.stderr
        until_silent(system, "free")
    finally:
        helm(system, "upgrade", "b", "b", "crds.enabled=false", "operator.namespaces={b,b2}")
    until_said(system, "free", "no operator serves")


def test_a_release_that_serves_all_takes_all_warnings_away(system: System) -> None:
    try:
        done = helm(system, "upgrade", "b", "b", "crds.enabled=false", "operator.scope=cluster")
        assert done.returncode == 0, done.stderr
        for namespace in ("a", "c", "free"):
            until_silent(system, namespace)
    finally:
        helm(system, "upgrade", "b", "b", "crds.enabled=false", "operator.namespaces={b,b2}")


def test_the_policy_can_refuse(system: System) -> None:
    try:
        assert helm(system, "upgrade", "a", "a", "unserved.action=Deny").returncode == 0
        said = until_said(system, "free", "forbidden")
        assert "no operator serves namespace free" in said
        assert warning(system, "a") == ""
    finally:
        helm(system, "upgrade", "a", "a")


# what belongs to whom


def test_a_second_release_is_told_how_to_share(system: System) -> None:
    said = helm(system, "install", "second", "free").stderr
    assert "CustomResourceDefinition yolotrainings.yolo.training, of release a in namespace a" in said
    assert "ValidatingAdmissionPolicy yolotrainings-served, of release a in namespace a" in said
    assert "\n  --set crds.enabled=false\n" in said
    assert "invalid ownership metadata" not in said


def test_claims_of_another_release_are_told_with_their_value(system: System) -> None:
    said = helm(system, "install", "second", "b", "crds.enabled=false").stderr
    assert "PersistentVolumeClaim yolo-data, of release b in namespace b" in said
    share = "--set storage.data.existingClaim=yolo-data --set storage.runs.existingClaim=yolo-runs"
    assert share in said
    values = [*re.findall(r"--set (\S+)", share), "crds.enabled=false"]
    try:
        done = helm(system, "install", "second", "b", *values)
        assert done.returncode == 0, done.stderr
    finally:
        system.run("helm", "uninstall", "second", "--namespace", "b", "--no-hooks")


def test_agents_of_a_second_release_are_told_to_share_the_namespace(system: System) -> None:
    system.kubectl("create", "namespace", "yolo-gpu-agent")
    try:
        said = helm(system, "install", "gpus", "free", *FACADE_ONLY, "gpuAgent.enabled=true").stderr
        assert "Namespace yolo-gpu-agent, of no helm release" in said
        assert "--set gpuAgent.createNamespace=false" in said
    finally:
        system.kubectl("delete", "namespace", "yolo-gpu-agent", "--wait=false")


def test_what_a_release_left_is_taken_over_by_the_commands_that_are_told(system: System) -> None:
    namespace = "moved"
    done = helm(system, "install", "old", namespace, "crds.enabled=false")
    assert done.returncode == 0, done.stderr
    system.run("helm", "uninstall", "old", "--namespace", namespace, "--no-hooks")
    said = helm(system, "install", "new", namespace, "crds.enabled=false").stderr
    assert "PersistentVolumeClaim yolo-runs, of release old in namespace moved" in said
    commands = [line.strip() for line in said.splitlines() if line.startswith("  kubectl ")]
    assert len(commands) == 2
    for command in commands:
        system.run(*shlex.split(command))
    done = helm(system, "install", "new", namespace, "crds.enabled=false")
    assert done.returncode == 0, done.stderr


def test_a_definition_that_nobody_installed_by_helm_is_told(system: System) -> None:
    """`kubectl apply -f crds/` is one way to install it."""
    marks = ("meta.helm.sh/release-name", "meta.helm.sh/release-namespace")
    crd = "crd/yolotrainings.yolo.training"
    system.kubectl("annotate", crd, *(f"{mark}-" for mark in marks))
    try:
        said = helm(system, "upgrade", "a", "a").stderr
        assert "CustomResourceDefinition yolotrainings.yolo.training, of no helm release" in said
    finally:
        system.kubectl("annotate", crd, *(f"{mark}=a" for mark in marks))


def test_the_owner_upgrades_and_nothing_is_looked_up_without_a_cluster(system: System) -> None:
    assert helm(system, "upgrade", "a", "a").returncode == 0
    done = system.run("helm", "template", "second", str(CHART), "--namespace", "free", check=False)
    assert done.returncode == 0, done.stderr


# a release goes


def leave(system: System, release: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What the hook of an uninstall does, by its own account and with its own rights."""
    got = system.run("helm", "get", "hooks", release, "--namespace", release).stdout
    hooks = [found for found in yaml.safe_load_all(got) if found and "farewell" in found["metadata"]["name"]]
    (job,) = (found for found in hooks if found["kind"] == "Job")
    rest = {"apiVersion": "v1", "kind": "List", "items": [found for found in hooks if found is not job]}
    system.run("kubectl", "apply", "-f", "-", stdin=json.dumps(rest))
    pod = job["spec"]["template"]["spec"]
    account = pod["serviceAccountName"]
    token = system.run("kubectl", "--namespace", release, "create", "token", account).stdout.strip()
    config = json.loads(system.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    (folder / "kubeconfig").write_text(json.dumps(config))
    given = {entry["name"]: entry["value"] for entry in pod["containers"][0]["env"]}
    env = system.environment | given | {"KUBECONFIG": str(folder / "kubeconfig"), "TMPDIR": str(folder)}
    command = [sys.executable, "-m", "yolo_operator", *pod["containers"][0]["args"]]
    return subprocess.run(command, env=env, capture_output=True, text=True, cwd=os.sep)


def test_farewell_leaves_policies_that_go_with_their_pods_and_says_that_nobody_watches(
    system: System, tmp_path: Path
) -> None:
    name = "goes"
    done = helm(system, "install", name, name, "crds.enabled=false")
    assert done.returncode == 0, done.stderr
    here = replace(system, namespace=name)
    here.run_kubectl("create", "-f", "-", stdin=json.dumps(TRAINING))
    status = {"status": {"phase": "Running", "run": 1, "attempt": 1}}
    here.kubectl("patch", "yt", "told", "--subresource=status", "--type=merge", "--patch", json.dumps(status))
    here.run_kubectl("create", "-f", "-", stdin=json.dumps(JOB))
    wait_for("the Job's pod", lambda: bool(here.pods("told")), 20)

    left = leave(system, name, tmp_path)
    assert left.returncode == 0, left.stdout + left.stderr
    assert left.stdout.splitlines() == [
        "training told in namespace goes is told that no operator watches it; its Job goes on alone"
    ]
    scale = here.kubectl("get", "deployment", "goes-operator", "-o", "jsonpath={.spec.replicas}")
    assert scale == "0", "or it would write over that"
    told = here.training("told")["status"]
    assert (told["phase"], told["failure"]["reason"], told["attempt"]) == ("Unserved", "NoOperator", 1)
    (policy,) = json.loads(here.kubectl("get", "networkpolicies", "-l", LABEL_TRAINING, "-o", "json"))[
        "items"
    ]
    assert {owner["kind"] for owner in policy["metadata"]["ownerReferences"]} == {"Job", "Pod"}
    system.run("helm", "uninstall", name, "--namespace", name, "--no-hooks")
    assert here.kubectl("get", "networkpolicies", "-o", "name").split() == [
        f"networkpolicy.networking.k8s.io/{policy['metadata']['name']}"
    ]
    here.kubectl("delete", "job", "told-r1a1-train")
    gone = ("get", "networkpolicies", "-o", "name")
    wait_for("the end of the policy with its pods", lambda: here.kubectl(*gone) == "", 60)


def test_an_uninstall_whose_hook_cannot_run_goes_on_without_hooks(system: System) -> None:
    """Nothing runs pods here: as if the operator's image were gone."""
    namespace = ("--namespace", "leaves")
    done = helm(system, "install", "leaves", "leaves", "crds.enabled=false")
    assert done.returncode == 0, done.stderr
    stuck = system.run("helm", "uninstall", "leaves", *namespace, "--timeout=2s", check=False)
    assert stuck.returncode != 0
    deployments = ("kubectl", *namespace, "get", "deployments", "-o", "name")
    assert "deployment.apps/leaves-operator" in system.run(*deployments).stdout, "nothing is half gone"
    system.run("helm", "uninstall", "leaves", *namespace, "--no-hooks")
    assert system.run(*deployments).stdout == ""
