"""The command lines of the components, as pure functions of a cluster's plan."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

from .config import node_name
from .paths import SOURCES, cache_dir
from .plan import Plan
from .processes import Daemon

NODE_PORT = 30066  # what `--host-port` leads to
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def with_config(daemon: Daemon, *files: Path) -> Daemon:
    """Makes a change of its configuration a change of the daemon, so that `up` starts it again."""
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    return replace(daemon, env={**daemon.env, "YOLO_CLUSTER_CONFIG": digest})


def _flags(values: dict[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items()]


def etcd(plan: Plan) -> Daemon:
    """One member on loopback. No fsync: a test cluster may lose its last second with the machine."""
    client = f"https://127.0.0.1:{plan.addresses.port('etcd')}"
    peer = f"http://127.0.0.1:{plan.addresses.port('etcd-peer')}"
    flags = {
        "name": "local",
        "data-dir": plan.state / "etcd",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"local={peer}",
        "cert-file": plan.pki / "etcd.crt",
        "key-file": plan.pki / "etcd.key",
        "client-cert-auth": "true",
        "trusted-ca-file": plan.pki / "etcd-ca.crt",
        "unsafe-no-fsync": "true",
        "log-level": "warn",
        "auto-compaction-retention": "10m",
        "quota-backend-bytes": 4 * 2**30,
    }
    return Daemon("etcd", (str(plan.bin / "etcd"), *_flags(flags)))


def apiserver(plan: Plan) -> Daemon:
    """The API server. Alone, it neither announces itself nor listens beyond loopback."""
    addresses, pki = plan.addresses, plan.pki
    flags = {
        "advertise-address": addresses.host,
        "bind-address": addresses.host,
        "secure-port": addresses.api.rsplit(":", 1)[1],
        "etcd-servers": f"https://127.0.0.1:{addresses.port('etcd')}",
        "etcd-cafile": pki / "etcd-ca.crt",
        "etcd-certfile": pki / "etcd.crt",
        "etcd-keyfile": pki / "etcd.key",
        "service-cluster-ip-range": addresses.services,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "allow-privileged": "true",
        "client-ca-file": pki / "ca.crt",
        "tls-cert-file": pki / "apiserver.crt",
        "tls-private-key-file": pki / "apiserver.key",
        "kubelet-client-certificate": pki / "kubelet-client.crt",
        "kubelet-client-key": pki / "kubelet-client.key",
        "kubelet-certificate-authority": pki / "ca.crt",
        "kubelet-preferred-address-types": "InternalIP",
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": pki / "sa.key",
        "service-account-signing-key-file": pki / "sa.key",
        "requestheader-client-ca-file": pki / "front-proxy-ca.crt",
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "proxy-client-cert-file": pki / "front-proxy-client.crt",
        "proxy-client-key-file": pki / "front-proxy-client.key",
        "audit-policy-file": plan.config / "audit-policy.json",
        "audit-log-path": plan.state / "audit.log",
        "audit-log-maxsize": 500,
        "audit-log-maxbackup": 4,
        "shutdown-delay-duration": "0s",
        "cert-dir": pki,
    }
    if addresses.api_only:
        flags["endpoint-reconciler-type"] = "none"
    return Daemon("kube-apiserver", (str(plan.bin / "kube-apiserver"), *_flags(flags)))


def controller_manager(plan: Plan) -> Daemon:
    """The controllers; `grace` seconds without a word and a node is thought dead."""
    pki = plan.pki
    kubeconfig = plan.config / "kube-controller-manager.kubeconfig"
    flags = {
        "kubeconfig": kubeconfig,
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "bind-address": "127.0.0.1",
        "secure-port": plan.addresses.port("kube-controller-manager"),
        "cert-dir": pki / "kube-controller-manager",
        "leader-elect": "false",
        "root-ca-file": pki / "ca.crt",
        "service-account-private-key-file": pki / "sa.key",
        "use-service-account-credentials": "true",
        "cluster-signing-cert-file": pki / "ca.crt",
        "cluster-signing-key-file": pki / "ca.key",
        "node-monitor-grace-period": f"{plan.grace}s",
        "node-monitor-period": f"{max(1, min(5, plan.grace // 4))}s",
        "pv-recycler-pod-template-filepath-hostpath": plan.config / "recycler.json",
        "flex-volume-plugin-dir": plan.state / "volume-plugins",
    }
    return Daemon("kube-controller-manager", (str(plan.bin / "kube-controller-manager"), *_flags(flags)))


def scheduler(plan: Plan) -> Daemon:
    kubeconfig = plan.config / "kube-scheduler.kubeconfig"
    flags = {
        "kubeconfig": kubeconfig,
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "bind-address": "127.0.0.1",
        "secure-port": plan.addresses.port("kube-scheduler"),
        "cert-dir": plan.pki / "kube-scheduler",
        "leader-elect": "false",
    }
    return Daemon("kube-scheduler", (str(plan.bin / "kube-scheduler"), *_flags(flags)))


def kueue(plan: Plan) -> Daemon:
    """Kueue in a root folder of its own, see kueue.py."""
    root = plan.kueue_root
    argv = (f"/{plan.kueue_binary.name}", "--config=/kueue.json", "--kubeconfig=/kubeconfig")
    files = [root / name for name in ("kueue.json", "kubeconfig", "visibility/tls.crt")]
    return with_config(Daemon("kueue", argv, root=str(root)), *files)


def containerd(plan: Plan, index: int) -> Daemon:
    node = node_name(index)
    config = plan.node_run(index) / "containerd.toml"
    # containerd looks its shim up on PATH, and Debian's would be of another version.
    path = f"{plan.bin}:{SYSTEM_PATH}"
    argv = (str(plan.bin / "containerd"), "--config", str(config))
    return with_config(
        Daemon(f"containerd@{node}", argv, plan.addresses.netns(index), {"PATH": path}), config
    )


def kubelet(plan: Plan, index: int) -> Daemon:
    """In its own root, see `device_notes.py`."""
    node, root = node_name(index), str(plan.node_root(index) / "kubelet")
    config = plan.config / f"kubelet-{index}.json"
    flags = {
        "config": config,
        "kubeconfig": plan.config / f"kubelet-{index}.kubeconfig",
        "hostname-override": node,
        "node-ip": plan.addresses.node_address(index),
        "root-dir": root,
        "cert-dir": f"{root}/pki",
    }
    argv = (str(plan.bin / "kubelet"), *_flags(flags))
    return with_config(Daemon(f"kubelet@{node}", argv, plan.addresses.netns(index), cwd=root), config)


def proxy(plan: Plan, index: int) -> Daemon:
    config = plan.config / f"proxy-{index}.json"
    argv = (str(plan.bin / "kube-proxy"), f"--config={config}")
    return with_config(Daemon(f"kube-proxy@{node_name(index)}", argv, plan.addresses.netns(index)), config)


def policy_agent(plan: Plan, index: int) -> Daemon:
    """Ours: the rules of the NetworkPolicies. Started again when its code has changed."""
    node, addresses = node_name(index), plan.addresses
    argv = (
        sys.executable,
        "-m",
        "cluster.policy_agent",
        node,
        addresses.netns(index),
        addresses.node_pods(index),
        addresses.api,
        str(plan.pki),
    )
    daemon = Daemon(f"policy-agent@{node}", argv, addresses.netns(index), {"PATH": SYSTEM_PATH})
    return with_config(daemon, SOURCES / "policy_agent.py", SOURCES / "policies.py")


def registries(plan: Plan) -> list[Daemon]:
    """Two doors to one storage: loopback to push through, the bridge for nodes to pull from."""
    files = [plan.config / f"{name}.json" for name in ("registry", "registry-nodes")]
    program = "/usr/bin/docker-registry"
    return [with_config(Daemon(file.stem, (program, "serve", str(file))), file) for file in files]


def registry_storage() -> Path:
    return cache_dir() / "registry"


def forwarder(plan: Plan) -> Daemon:
    """127.0.0.1:<host port> on this machine to the NodePort of the first node that answers."""
    targets = [f"{plan.addresses.node_address(index)}:{NODE_PORT}" for index in range(1, plan.nodes + 1)]
    argv = (sys.executable, str(SOURCES / "forward.py"), f"127.0.0.1:{plan.host_port}", *targets)
    return Daemon("forwarder", argv)
