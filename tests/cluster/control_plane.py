"""Keys, configuration and start of what stands beside the nodes: etcd, API server, controllers, registry."""

from __future__ import annotations

from . import addons, components, config, network
from .api import Api, wait_for
from .files import write_json
from .pki import Identity, Pki
from .plan import Plan
from .processes import Supervisor


def start(plan: Plan) -> None:
    """Starts what does not run and waits until the API server is ready."""
    supervisor = Supervisor(plan.state)
    api = prepare(plan)
    if not plan.addresses.api_only:
        network.ensure_bridge(plan.addresses)
    supervisor.ensure(components.etcd(plan))
    supervisor.ensure(components.apiserver(plan))
    if not plan.addresses.api_only:
        storage = components.registry_storage()
        storage.mkdir(parents=True, exist_ok=True)
        doors = {"registry": plan.addresses.registry_push, "registry-nodes": plan.addresses.registry_pull}
        for name, address in doors.items():
            write_json(plan.config / f"{name}.json", config.registry_config(storage, address))
        for daemon in components.registries(plan):
            supervisor.ensure(daemon)
    logs = supervisor.logs

    def ready() -> bool:
        supervisor.require("etcd", "kube-apiserver")
        return api.ready()

    wait_for("the API server", ready, 60, hint=f"See {logs}/kube-apiserver.log and etcd.log")
    supervisor.ensure(components.controller_manager(plan))
    if not plan.addresses.api_only:
        supervisor.ensure(components.scheduler(plan))


def prepare(plan: Plan) -> Api:
    """Keys and configuration files of the control plane."""
    pki, addresses = Pki(plan.pki), plan.addresses
    pki.ensure_roots()
    names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost")
    served = (*names, "127.0.0.1", addresses.host, addresses.service(1))
    for identity in (
        Identity("etcd", "etcd", names=("127.0.0.1",), issuer="etcd-ca"),
        Identity("apiserver", "kube-apiserver", names=tuple(dict.fromkeys(served))),
        Identity("kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
        Identity("front-proxy-client", "front-proxy-client", issuer="front-proxy-ca"),
        Identity("admin", "admin", "system:masters"),
        Identity("kube-controller-manager", "system:kube-controller-manager"),
        Identity("kube-scheduler", "system:kube-scheduler"),
    ):
        pki.ensure(identity)
    write_json(plan.config / "audit-policy.json", config.AUDIT_POLICY)
    write_json(plan.config / "recycler.json", addons.build_recycler())
    for user in ("kube-controller-manager", "kube-scheduler"):
        pki.kubeconfig(plan.config / f"{user}.kubeconfig", addresses.api, user)
    pki.kubeconfig(plan.kubeconfig, addresses.api, "admin")
    return Api(addresses.api, pki)
