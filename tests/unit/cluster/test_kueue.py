"""Kueue's manifests, made fit for one that runs beside the cluster, and what cannot be had."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.kueue import build_configuration, build_manifests, check
from cluster.paths import ClusterError
from cluster.plan import Plan
from cluster.slots import Addresses

ADDRESSES = Addresses(3)
WEBHOOK = f"https://127.0.0.1:{ADDRESSES.port('kueue-webhook')}"


def _hook(name: str, *groups: str) -> dict[str, object]:
    service = {"name": "kueue-webhook-service", "namespace": "kueue-system", "path": f"/{name}"}
    return {
        "name": name,
        "clientConfig": {"service": service},
        "rules": [{"apiGroups": [group]} for group in groups],
    }


def test_webhooks_of_enabled_integrations_lead_to_loopback() -> None:
    configuration = {
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "kueue-mutating-webhook-configuration"},
        "webhooks": [_hook("mpod", ""), _hook("mjob", "batch"), _hook("mworkload", "kueue.x-k8s.io")],
    }
    found = build_manifests([configuration], ADDRESSES, "Q0E=")["items"][-1]["webhooks"]
    assert {hook["name"]: hook["clientConfig"] for hook in found} == {
        "mjob": {"url": f"{WEBHOOK}/mjob", "caBundle": "Q0E="},
        "mworkload": {"url": f"{WEBHOOK}/mworkload", "caBundle": "Q0E="},
    }


def test_crds_with_several_versions_are_converted_over_loopback() -> None:
    conversion = {"strategy": "Webhook", "webhook": _hook("convert")}
    definition = {
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "workloads"},
        "spec": {"conversion": conversion},
    }
    found = build_manifests([definition], ADDRESSES, "Q0E=")["items"][-1]["spec"]["conversion"]["webhook"]
    assert found["clientConfig"] == {"url": f"{WEBHOOK}/convert", "caBundle": "Q0E="}


def test_visibility_api_is_reached_through_a_name_and_trusted_by_its_certificate() -> None:
    rendered = [
        {
            "kind": "APIService",
            "metadata": {"name": "v1beta2.visibility.kueue.x-k8s.io"},
            "spec": {"insecureSkipTLSVerify": True},
        },
        {"kind": "Service", "metadata": {"name": "kueue-visibility-server"}, "spec": {"ports": []}},
        {"kind": "Service", "metadata": {"name": "kueue-webhook-service"}, "spec": {}},
    ]
    namespace, api_service, service = build_manifests(rendered, ADDRESSES, "Q0E=")["items"]
    assert namespace["kind"] == "Namespace"
    assert api_service["spec"] == {
        "caBundle": "Q0E=",
        "service": {
            "name": "kueue-visibility-server",
            "namespace": "kueue-system",
            "port": ADDRESSES.port("kueue-visibility"),
        },
    }
    assert service["spec"] == {"type": "ExternalName", "externalName": "127.0.0.1"}


def test_configuration_waits_for_pods_only_where_that_is_said() -> None:
    assert "waitForPodsReady" not in build_configuration(ADDRESSES, None)
    assert build_configuration(ADDRESSES, 20)["waitForPodsReady"]["timeout"] == "20s"


def test_configuration_listens_on_loopback_alone() -> None:
    found = build_configuration(ADDRESSES, None)
    addresses = [
        found["health"]["healthProbeBindAddress"],
        found["metrics"]["bindAddress"],
        found["webhook"]["host"],
        found["visibilityServer"]["bindAddress"],
    ]
    assert all(address.startswith("127.0.0.1") for address in addresses)


@pytest.mark.parametrize(
    ("kueue", "pods_ready", "user", "want"),
    [
        (True, None, 1000, "run as root"),
        (False, 20, 0, "--kueue"),
        (True, 0, 0, "give 1 or more"),
    ],
)
def test_check_says_what_cannot_be_had(
    kueue: bool, pods_ready: int | None, user: int, want: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    plan = replace(Plan("local", Path("/state"), ADDRESSES), kueue=kueue, pods_ready=pods_ready)
    with pytest.raises(ClusterError, match=want):
        check(plan)
