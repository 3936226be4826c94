"""Kueue beside the control plane: its files, its manifests, and how one sees that it is ready.

Kueue looks for certificates at fixed places (`/visibility`, `/etc/kueue/metrics/certs`), so it gets a root
folder of its own, which holds its binary too. Else it is as its module's manifests install it, with its RBAC.
"""

from __future__ import annotations

import json
import os
import shutil
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import components
from .api import Api, wait_for
from .config import KUEUE, KUEUE_NAMESPACE
from .files import write_json
from .paths import ClusterError
from .pki import Identity, Pki
from .plan import Plan
from .processes import Supervisor
from .slots import Addresses

VISIBILITY_SERVICE = "kueue-visibility-server"
VISIBILITY = "/apis/visibility.kueue.x-k8s.io/v1beta2"
_SERVED_GROUPS = {"batch", "kueue.x-k8s.io"}  # whose objects the enabled integrations need a webhook for
_CERTIFICATES = ("visibility", "etc/kueue/metrics/certs")
Manifest = dict[str, Any]

# Of the module's `config`: no Deployment, no Secrets of certificates; names as in its own installation.
KUSTOMIZATION: Manifest = {
    "namespace": KUEUE_NAMESPACE,
    "namePrefix": "kueue-",
    "resources": [f"components/{part}" for part in ("crd", "rbac", "webhook", "visibility")],
}
# Asked as a dry run: both webhooks that the tests need have answered if it is granted.
PROBE: Manifest = {
    "apiVersion": "v1",
    "kind": "List",
    "items": [
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "kueue-probe", "labels": {"kueue.x-k8s.io/queue-name": "none"}},
            "spec": {
                "template": {
                    "spec": {"restartPolicy": "Never", "containers": [{"name": "none", "image": "none"}]}
                }
            },
        },
        {
            "apiVersion": "kueue.x-k8s.io/v1beta2",
            "kind": "ResourceFlavor",
            "metadata": {"name": "kueue-probe"},
        },
    ],
}


def build_configuration(addresses: Addresses, pods_ready: int | None) -> Manifest:
    """Kueue's Configuration: Jobs alone, and only those that name a queue.

    pods_ready: seconds that an admitted Job's pods have to get ready; None: Kueue's default, half an hour.
    """

    def on_loopback(part: str) -> str:
        return f"127.0.0.1:{addresses.port(part)}"

    configuration: Manifest = {
        "apiVersion": "config.kueue.x-k8s.io/v1beta2",
        "kind": "Configuration",
        "namespace": KUEUE_NAMESPACE,
        "health": {"healthProbeBindAddress": on_loopback("kueue-health")},
        "metrics": {"bindAddress": on_loopback("kueue-metrics"), "enableClusterQueueResources": True},
        "webhook": {"host": "127.0.0.1", "port": addresses.port("kueue-webhook"), "certDir": "/visibility"},
        "visibilityServer": {"bindAddress": "127.0.0.1", "bindPort": addresses.port("kueue-visibility")},
        "leaderElection": {"leaderElect": False},
        "internalCertManagement": {"enable": False},
        "clientConnection": {"qps": 300, "burst": 500},
        "manageJobsWithoutQueueName": False,
        "integrations": {"frameworks": ["batch/job"]},
    }
    if pods_ready is not None:
        # Retried after a second, then two: a test need not wait a minute for the second try.
        requeuing = {"backoffBaseSeconds": 1}
        configuration["waitForPodsReady"] = {
            "timeout": f"{pods_ready}s",
            "recoveryTimeout": f"{pods_ready}s",
            "requeuingStrategy": requeuing,
        }
    return configuration


def build_manifests(rendered: list[Manifest], addresses: Addresses, authority: str) -> Manifest:
    """The module's manifests as they must be for a Kueue on loopback ports of the API server's host.

    authority: PEM of who signed Kueue's certificates, base64.
    """
    webhook = f"https://127.0.0.1:{addresses.port('kueue-webhook')}"
    items = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": KUEUE_NAMESPACE}}]
    for manifest in rendered:
        match manifest["kind"]:
            case "Service" if manifest["metadata"]["name"] != VISIBILITY_SERVICE:
                continue
            case "Service":
                manifest["spec"] = {"type": "ExternalName", "externalName": "127.0.0.1"}
            case "APIService":
                manifest["spec"].pop("insecureSkipTLSVerify", None)
                manifest["spec"]["caBundle"] = authority
                manifest["spec"]["service"] = {
                    "name": VISIBILITY_SERVICE,
                    "namespace": KUEUE_NAMESPACE,
                    "port": addresses.port("kueue-visibility"),
                }
            case "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration":
                manifest["webhooks"] = [hook for hook in manifest["webhooks"] if _is_served(hook)]
                for hook in manifest["webhooks"]:
                    hook["clientConfig"] = _to_url(hook["clientConfig"], webhook, authority)
            case "CustomResourceDefinition" if hook := manifest["spec"].get("conversion", {}).get("webhook"):
                hook["clientConfig"] = _to_url(hook["clientConfig"], webhook, authority)
            case "RoleBinding" if manifest["roleRef"]["name"] == "extension-apiserver-authentication-reader":
                manifest["metadata"]["namespace"] = "kube-system"  # where that role is
        items.append(manifest)
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _is_served(hook: Manifest) -> bool:
    """Whether an enabled integration stands behind it; the others could only be in the way of pods."""
    return all(group in _SERVED_GROUPS for rule in hook["rules"] for group in rule["apiGroups"])


def _to_url(client: Manifest, url: str, authority: str) -> Manifest:
    return {"url": f"{url}{client['service'].get('path', '/')}", "caBundle": authority}


def check(plan: Plan) -> None:
    """Raises ClusterError for what cannot be had, before anything of it is remembered."""
    if plan.kueue and os.geteuid() != 0:
        raise ClusterError("Kueue gets a root folder of its own, which only root can give it: run as root")
    if plan.pods_ready is not None and not plan.kueue:
        raise ClusterError(
            "seconds until pods must be ready are for Kueue, which this cluster has not: --kueue"
        )
    if plan.pods_ready is not None and plan.pods_ready < 1:
        raise ClusterError(f"pods cannot be ready within {plan.pods_ready} s: give 1 or more")


def start(plan: Plan, kubectl: Callable[..., str]) -> None:
    """Applies the manifests where they have changed, and starts Kueue unless it runs just so."""
    pki = Pki(plan.pki)
    names = ("127.0.0.1", "localhost", f"{VISIBILITY_SERVICE}.{KUEUE_NAMESPACE}.svc")
    pki.ensure(Identity("kueue", KUEUE))
    pki.ensure(Identity("kueue-serving", "kueue", names=names))
    _apply_manifests(plan, pki, kubectl)
    _fill_root(plan, pki)
    Supervisor(plan.state).ensure(components.kueue(plan))


def wait_ready(plan: Plan, kubectl: Callable[..., str]) -> None:
    """Until its webhooks and its visibility API answer through the API server."""
    api, supervisor = Api(plan.addresses.api, Pki(plan.pki)), Supervisor(plan.state)
    probe = ("create", "--dry-run=server", "-n", "default", "-f", "-", "-o", "name")

    def ready() -> bool:
        supervisor.require("kueue")
        if api.get(VISIBILITY)[0] != 200:
            return False
        granted = kubectl(*probe, stdin=json.dumps(PROBE), check=False)
        return len(granted.split()) == len(PROBE["items"])

    wait_for("Kueue", ready, 60, hint=f"See {supervisor.logs}/kueue.log")


def _apply_manifests(plan: Plan, pki: Pki, kubectl: Callable[..., str]) -> None:
    source = plan.binaries["kueue"].parent / "components"
    kustomization = plan.config / "kueue"
    shutil.rmtree(kustomization, ignore_errors=True)
    write_json(kustomization / "kustomization.yaml", KUSTOMIZATION)
    shutil.copytree(source, kustomization / "components")
    import yaml  # not above: `down` must do with the standard library alone

    rendered = list(yaml.load_all(kubectl("kustomize", str(kustomization)), yaml.CSafeLoader))
    authority = b64encode(Path(pki.certificate("ca")).read_bytes()).decode()
    file, applied = plan.config / "kueue-manifests.json", plan.config / "kueue-manifests.applied"
    write_json(file, build_manifests(rendered, plan.addresses, authority))
    if applied.exists() and applied.read_text() == file.read_text():
        return
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(file))
    kinds = [item["metadata"]["name"] for item in rendered if item["kind"] == "CustomResourceDefinition"]
    kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", *kinds)
    shutil.copy(file, applied)


def _fill_root(plan: Plan, pki: Pki) -> None:
    """What Kueue finds at `/`."""
    root = plan.kueue_root
    write_json(root / "kueue.json", build_configuration(plan.addresses, plan.pods_ready))
    pki.kubeconfig(root / "kubeconfig", plan.addresses.api, "kueue")
    for place in _CERTIFICATES:
        (root / place).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(pki.certificate("kueue-serving"), root / place / "tls.crt")
        shutil.copy(pki.key("kueue-serving"), root / place / "tls.key")  # with its mode
    binary = plan.kueue_binary
    if not binary.exists():
        for old in root.glob("kueue-*"):
            old.unlink()
        aside = root / "binary.tmp"
        shutil.copy(plan.binaries["kueue"], aside)
        aside.replace(binary)
