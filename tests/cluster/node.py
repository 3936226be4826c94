"""A node: a network namespace with its own containerd, kubelet and kube-proxy, and all that they leave."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from . import cgroups, components, config, device_notes, disks, mounts, network, pool
from .api import Api, wait_for
from .files import write_json, write_text
from .oci import packed
from .paths import ClusterError, node_dir
from .pki import Identity, Pki
from .plan import Plan
from .processes import Supervisor, command_line, end, marked, send


class Node:
    """One node of a planned cluster, by its number from 1."""

    def __init__(self, plan: Plan, index: int) -> None:
        self.plan = plan
        self.index = index
        self.name = config.node_name(index)
        self.supervisor = Supervisor(plan.state)
        self.run = plan.node_run(index)
        self.socket = plan.socket(index)

    def ctr(self, *arguments: str) -> str:
        """Runs containerd's client in the kubelet's image namespace."""
        command = [
            str(self.plan.bin / "ctr"),
            "--address",
            str(self.socket),
            "--namespace",
            "k8s.io",
            *arguments,
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise ClusterError(f"ctr {' '.join(arguments[:3])} on {self.name}: {done.stderr.strip()[-800:]}")
        return done.stdout

    def start_runtime(self) -> None:
        """Network, cgroups and containerd with the two images that every cluster needs."""
        network.ensure_node(self.plan.addresses, self.index, self.plan.nodes)
        cgroups.ensure(self.plan.addresses.cgroup(self.index))
        self._write_runtime_config()
        daemon = components.containerd(self.plan, self.index)
        alone = not self.shims()
        if alone and not self.supervisor.pid(daemon.name):
            mounts.detach(self.run)
        if self.supervisor.ensure(daemon) and alone:
            self._wait_for_runtime()
            # What a killed cluster left in the content that this node took over.
            if self.remove_containers():
                self.supervisor.stop(daemon.name, grace=5.0)
                self.supervisor.start(daemon)
        self._wait_for_runtime()
        self._ensure_image(config.PAUSE_IMAGE, "pause")
        self._ensure_image(config.COREDNS_IMAGE, "coredns")

    def start_kubelet(self, *, disk_limit: str = "1%") -> bool:
        """kubelet, kube-proxy and policy agent; True if the kubelet was started now, or again."""
        plan, pki = self.plan, Pki(self.plan.pki)
        address = plan.addresses.node_address(self.index)
        user = f"kubelet-{self.index}"
        pki.ensure(Identity(user, f"system:node:{self.name}", "system:nodes", (address, self.name)))
        pki.ensure(Identity("kube-proxy", "system:kube-proxy"))
        pki.ensure(Identity("policy-agent", config.POLICY_AGENT))
        pki.kubeconfig(plan.config / f"{user}.kubeconfig", plan.addresses.api, user)
        proxy = plan.config / "kube-proxy.kubeconfig"
        pki.kubeconfig(proxy, plan.addresses.api, "kube-proxy")
        folder = plan.node_root(self.index)
        write_json(
            plan.config / f"kubelet-{self.index}.json",
            config.kubelet_config(
                plan.addresses,
                self.index,
                folder=folder,
                socket=self.socket,
                pki=plan.pki,
                grace=plan.grace,
                disk_limit=disk_limit,
            ),
        )
        write_json(
            plan.config / f"proxy-{self.index}.json",
            config.proxy_config(plan.addresses, self.index, kubeconfig=proxy),
        )
        device_notes.ensure(folder / "kubelet")
        disks.free(folder)
        self.supervisor.ensure(components.policy_agent(plan, self.index))
        started = self.supervisor.ensure(components.kubelet(plan, self.index))
        self.supervisor.ensure(components.proxy(plan, self.index))
        return started

    def fill_disk(self) -> None:
        """Takes some gigabytes of the disk, after the kubelet's limit was set so that they are too much.

        `start_kubelet` undoes it. The order matters: a kubelet that starts on a full disk refuses the pods
        that it finds, instead of evicting them.
        """
        folder, since = self.plan.node_root(self.index), time.time()
        limit = disks.free_bytes(folder) - disks.MARGIN
        if limit < disks.TAKEN:
            raise ClusterError(f"{folder} has less than {(disks.MARGIN + disks.TAKEN) >> 30} GiB free")
        self.start_kubelet(disk_limit=str(limit))
        api = Api(self.plan.addresses.api, Pki(self.plan.pki))
        wait_for(f"{self.name} Ready", lambda: api.node_ready(self.name, since=since), 60)
        disks.take(folder)

    def pull(self, reference: str) -> None:
        """Fetches an image from the cluster's registry: only the layers that this node lacks."""
        self.ctr("images", "pull", "--local", "--hosts-dir", str(self.run / "hosts"), reference)

    def shims(self) -> list[int]:
        """The keepers of this node's pods."""
        socket = str(self.socket)
        lines = ((pid, command_line(pid)) for pid in marked(self.plan.state))
        return [pid for pid, line in lines if line and "containerd-shim" in line[0] and socket in line]

    def remove_containers(self) -> bool:
        """Forgets all containers and their writable layers; images stay. True if there were any."""
        containers = self.ctr("containers", "list", "-q").split()
        if containers:
            self.ctr("containers", "remove", *containers)
        return bool(containers)

    def stop(self) -> None:
        """Ends the node's processes and pods, and forgets its containers. Copes with any half state."""
        for part in ("kubelet", "kube-proxy", "policy-agent"):
            self.supervisor.stop(f"{part}@{self.name}")
        shims = self.shims()
        sockets = self.shim_sockets()
        end(shims)
        cgroups.remove(f"{self.plan.addresses.cgroup(self.index)}*")
        mounts.detach(self.run)
        mounts.detach(self.plan.node_root(self.index))
        for socket in sockets:
            socket.unlink(missing_ok=True)
        runtime = f"containerd@{self.name}"
        if pid := self.supervisor.pid(runtime):
            send([pid], signal.SIGCONT)
            with suppress(ClusterError):  # a sick containerd: the next start forgets them
                self.remove_containers()
            self.supervisor.stop(runtime, grace=3.0)

    def shim_sockets(self) -> list[Path]:
        """The sockets that shims keep in a folder of the whole machine."""
        found = []
        bundles = self.run / "state" / "io.containerd.runtime.v2.task" / "k8s.io"
        for bundle in bundles.iterdir() if bundles.exists() else ():
            try:
                address = json.loads((bundle / "bootstrap.json").read_text())["address"]
                found.append(Path(address.removeprefix("unix://")))
            except (ValueError, KeyError, OSError):
                continue
        return found

    def _wait_for_runtime(self) -> None:
        def answers() -> bool:
            try:
                self.ctr("version")
            except ClusterError:
                return False
            return True

        log = self.supervisor.logs / f"containerd@{self.name}.log"
        wait_for(f"containerd on {self.name}", answers, 20, hint=f"See {log}")

    def _write_runtime_config(self) -> None:
        content = pool.content_dir(self.plan.state, self.name)
        for folder in (content, self.run / "cni", self.run / "cdi", content / "tmp"):
            folder.mkdir(parents=True, exist_ok=True)
        hosts = config.hosts_toml(self.plan.addresses)
        for registry in ("_default", "registry.local"):
            write_text(self.run / "hosts" / registry / "hosts.toml", hosts)
        toml = config.containerd_config(root=content, run=self.run, socket=self.socket)
        write_text(self.run / "containerd.toml", toml)
        cni = config.cni_config(self.plan.addresses, self.index, folder=self.run)
        write_json(self.run / "cni" / "10-local.conflist", cni)

    def _ensure_image(self, reference: str, program: str) -> None:
        archive, digest = packed(self.plan.binaries[program], reference)
        if digest not in self.ctr("images", "list", f"name=={reference}"):
            self.ctr("images", "import", "--local", str(archive))


def sweep(slot: int, netns_pattern: str) -> None:
    """Removes what no record names: host-network pods, files of CNI and the kubelet."""
    for path in Path("/run/netns").glob(netns_pattern):
        end(network.processes_inside(path.name))
    for path in Path("/var/lib/cni/results").glob(f"yolo{slot}n*"):
        path.unlink(missing_ok=True)
    root = str(node_dir(slot, ""))
    for link in Path("/var/log/containers").glob("*.log"):
        if link.is_symlink() and str(link.readlink()).startswith(root):
            link.unlink(missing_ok=True)
    shutil.rmtree(root, ignore_errors=True)
