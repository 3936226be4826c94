"""Configuration files of the components, as pure functions of addresses and folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .slots import Addresses
from .versions import version

PAUSE_IMAGE = f"registry.local/cluster/pause:{version('pause')}"
COREDNS_IMAGE = f"registry.local/cluster/coredns:{version('coredns')}"
CNI_PLUGINS = "/usr/lib/cni"
POLICY_AGENT = "system:policy-agent"
KUEUE_NAMESPACE = "kueue-system"
KUEUE = f"system:serviceaccount:{KUEUE_NAMESPACE}:kueue-controller-manager"  # whom its module's roles are for

# Requests of components that only read, and leases, would bury what tests look for.
AUDIT_POLICY: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}]},
        {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*", "/version", "/openapi*"]},
        {
            "level": "None",
            "users": ["system:kube-controller-manager", "system:kube-scheduler", "system:apiserver", KUEUE],
            "verbs": ["get", "list", "watch"],
        },
        {"level": "None", "users": [POLICY_AGENT], "verbs": ["list", "watch"]},
        {"level": "None", "userGroups": ["system:nodes"], "verbs": ["get", "list", "watch"]},
        {"level": "Metadata"},
    ],
}


def node_timings(grace: int) -> dict[str, str | int]:
    """How often a node reports, so that one that is well is never thought dead within `grace` seconds."""
    return {
        "nodeStatusUpdateFrequency": f"{max(1, min(10, grace // 4))}s",
        "nodeLeaseDurationSeconds": max(4, min(40, grace)),
    }


def kubelet_config(
    addresses: Addresses,
    index: int,
    *,
    folder: Path,
    socket: Path,
    pki: Path,
    grace: int,
    disk_limit: str = "1%",
) -> dict[str, Any]:
    """A kubelet for cgroup v1 or v2, without swap's, systemd's or the host's help.

    `disk_limit`: with less than this free, bytes or a part, it reports DiskPressure and evicts pods.
    """
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": addresses.node_address(index),
        "authentication": {"x509": {"clientCAFile": str(pki / "ca.crt")}, "webhook": {"enabled": True}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki / f"kubelet-{index}.crt"),
        "tlsPrivateKeyFile": str(pki / f"kubelet-{index}.key"),
        "containerRuntimeEndpoint": f"unix://{socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{addresses.cgroup(index)}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "clusterDNS": [addresses.service(10)],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        "podLogsDir": str(folder / "pod-logs"),
        "volumePluginDir": str(folder / "volume-plugins"),
        "serializeImagePulls": False,
        "registryPullQPS": 0,
        "syncFrequency": "20s",
        # The disk is the developer's own: images are kept, and a well-filled disk is no reason to evict.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": disk_limit,
            "imagefs.available": "1%",
        },
        "shutdownGracePeriod": "0s",
        **node_timings(grace),
    }


def proxy_config(addresses: Addresses, index: int, *, kubeconfig: Path) -> dict[str, Any]:
    """kube-proxy in a namespace whose connection table is not its own to size."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "bindAddress": addresses.node_address(index),
        "clusterCIDR": addresses.pods,
        "hostnameOverride": node_name(index),
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "conntrack": {"maxPerCore": 0, "min": 0},
        "iptables": {"minSyncPeriod": "100ms"},
    }


def node_name(index: int) -> str:
    return f"node-{index}"


def cni_config(addresses: Addresses, index: int, *, folder: Path) -> dict[str, Any]:
    """Routed pods (`ptp`): on one bridge, answers within a node would slip past kube-proxy's translation."""
    return {
        "cniVersion": "1.0.0",
        "name": addresses.netns(index),
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(folder / "ipam"),
                    "ranges": [[{"subnet": addresses.node_pods(index)}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def containerd_config(*, root: Path, run: Path, socket: Path) -> str:
    """containerd 2 for one node. No NRI (its socket is machine-wide), no snapshotter but overlayfs."""
    return f"""\
version = 3
root = "{root}"
state = "{run}/state"
temp = "{root}/tmp"
disabled_plugins = [
  "io.containerd.nri.v1.nri",
  "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.erofs",
  "io.containerd.differ.v1.erofs",
]

[grpc]
address = "{socket}"

[ttrpc]
address = "{socket}.ttrpc"

[plugins."io.containerd.internal.v1.opt"]
path = "{root}/opt"

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
disable_apparmor = true
enable_unprivileged_ports = true
enable_unprivileged_icmp = true
enable_cdi = true
cdi_spec_dirs = ["{run}/cdi", "/etc/cdi"]

[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "runc"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "runc"
Root = "{run}/runc"
SystemdCgroup = false

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{CNI_PLUGINS}"]
conf_dir = "{run}/cni"
# The plugin for it would leave files in a folder of the whole machine.
use_internal_loopback = true

[plugins."io.containerd.cri.v1.images"]
use_local_image_pull = true

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{PAUSE_IMAGE}"

[plugins."io.containerd.cri.v1.images".registry]
config_path = "{run}/hosts"
"""


def hosts_toml(addresses: Addresses) -> str:
    """Every image comes from the cluster's registry; a name it lacks fails at once instead of timing out."""
    server = f"http://{addresses.registry_pull}"
    return f'server = "{server}"\n\n[host."{server}"]\ncapabilities = ["pull", "resolve"]\n'


def registry_config(storage: Path, address: str) -> dict[str, Any]:
    """Debian's docker-registry on a folder."""
    return {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(storage)},
            # Its clean-up of old uploads would race with that of the other clusters' registries.
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": {"addr": address, "secret": "only-on-this-machine"},
    }
