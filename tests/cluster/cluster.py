"""The cluster as a whole: `up`, `down`, and what tests ask of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from . import (
    addons,
    build,
    components,
    config,
    control_plane,
    diagnostics,
    marks,
    packages,
    removal,
    slots,
)
from . import kueue as kueue_component
from .api import Api, wait_for
from .faults import Faults
from .files import write_json
from .locks import locked
from .node import Node
from .paths import ClusterError, state_dir
from .pki import Pki
from .plan import Plan
from .ports import is_free
from .processes import Supervisor, marked_states
from .progress import say, step
from .registry import push
from .slots import Addresses


class Cluster:
    """A local Kubernetes by name. Every method works on what is on disk, so any process may make one."""

    def __init__(self, name: str = "local") -> None:
        self.name = name
        self.state = state_dir(name)
        self.supervisor = Supervisor(self.state)

    @classmethod
    def here(cls) -> list[Cluster]:
        """Every cluster of this repository that was started and not taken down, its folder gone or not."""
        home = state_dir("local").parent
        states = {path.parent for path in home.glob("*/cluster.json")}
        states |= {*map(Path, slots.owners().values()), *marked_states()}
        return [cls(state.name) for state in sorted(states) if state.parent == home]

    # What others need to know

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def bin(self) -> Path:
        """A folder with kubectl and helm of the right versions, for PATH."""
        return self.state / "bin"

    @property
    def audit_log(self) -> Path:
        return self.state / "audit.log"

    @property
    def volumes(self) -> Path:
        """The folders behind the volume pool: `<volumes>/<name of the PersistentVolume>`."""
        return self.state / "volumes"

    @property
    def plan(self) -> Plan:
        """What was started here; raises ClusterError if nothing was."""
        return Plan.load(self.state)

    @property
    def faults(self) -> Faults:
        """What may be broken on purpose, and mended."""
        return Faults(self)

    @property
    def registry_push(self) -> str:
        """Where the host pushes images: pods name them `registry.local/…`, with the same path and tag."""
        return self.plan.addresses.registry_push

    @property
    def environment(self) -> dict[str, str]:
        """For programs that shall talk to this cluster."""
        path = os.environ.get("PATH", "/usr/bin:/bin")
        return {"KUBECONFIG": str(self.kubeconfig), "PATH": f"{self.bin}:{path}"}

    # Life

    def up(
        self,
        *,
        nodes: int | None = None,
        api_only: bool = False,
        host_port: int | None = None,
        grace: int | None = None,
        labels: Sequence[str] | None = None,
        taints: Sequence[str] | None = None,
        kueue: bool | None = None,
        pods_ready: int | None = None,
    ) -> None:
        """Builds, installs and starts what is missing of such a cluster, and waits until it is ready.

        What is not said stays as it was, at first: one node, no host port, 40 s until a silent node is lost,
        no labels (`node-2:gpu=a100`, for all nodes `gpu=a100`), no taints (`node-2:gpu=a100:NoSchedule`),
        no Kueue, which once there stays; `pods_ready`: seconds that it gives the pods of an admitted Job.
        """
        packages.ensure(nodes=not api_only)
        kueue = kueue or self._has_kueue()
        binaries = build.binaries(*build.wanted(api_only=api_only, kueue=kueue))
        with self._locked():
            removal.sweep_orphans()
            removal.remove_ruins(self.state)
            self.state.mkdir(parents=True, exist_ok=True)  # a slot whose folder is gone is swept away
            addresses = Addresses(slots.allocate(self.state), api_only)
            before = self._before(addresses)
            plan = replace(
                before,
                nodes=0 if api_only else nodes or before.nodes,
                host_port=host_port or before.host_port,
                grace=grace or before.grace,
                labels=before.labels if labels is None else tuple(labels),
                taints=before.taints if taints is None else tuple(taints),
                kueue=kueue,
                pods_ready=before.pods_ready if pods_ready is None else pods_ready,
                binaries=binaries,
            )
            marks.check(plan)
            kueue_component.check(plan)
            self._check_host_port(plan)
            if before.nodes > max(plan.nodes, 1):
                raise ClusterError(
                    f"cluster {self.name} has {before.nodes} nodes: `down` first to have fewer"
                )
            plan.store()
            if not api_only:
                slots.note_owner(plan.slot, self.state)
            build.link(binaries, plan.bin)
            with step(f"cluster {self.name}: control plane"):
                control_plane.start(plan)
                if plan.kueue:
                    kueue_component.start(plan, self.kubectl)
            if not api_only:
                title = f"cluster {self.name}: {'node' if plan.nodes == 1 else f'{plan.nodes} nodes'}"
                with step(title):
                    self._start_nodes(plan)
            if plan.kueue:
                with step(f"cluster {self.name}: Kueue"):
                    kueue_component.wait_ready(plan, self.kubectl)

    def down(self) -> None:
        """Ends the cluster and removes all of it, its volumes too; only the logs stay."""
        with self._locked():
            if not removal.is_here(self.state):
                say(f"  cluster {self.name}: there is none")
                return
            with step(f"cluster {self.name}: down"):
                removal.remove_cluster(self.state)

    def status(self) -> dict[str, str]:
        """Component or node -> `running`, `ready` or what is wrong."""
        plan = self.plan
        found = {name: "running" if self.supervisor.pid(name) else "dead" for name in self.supervisor.names()}
        api = Api(plan.addresses.api, Pki(plan.pki))
        found["api"] = "ready" if api.ready() else "not ready"
        for index in range(1, plan.nodes + 1):
            name = config.node_name(index)
            found[name] = "ready" if api.node_ready(name) else "not ready"
        return found

    # Use

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """kubectl's stdout; raises ClusterError with its stderr if it fails and `check` holds."""
        command = [str(self.bin / "kubectl"), *arguments]
        environment = {**os.environ, **self.environment}
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment)
        if check and done.returncode:
            raise ClusterError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def helm(self, *arguments: str, check: bool = True) -> str:
        """helm's stdout; raises ClusterError with its stderr if it fails and `check` holds."""
        environment = {**os.environ, **self.environment}
        done = subprocess.run(
            [str(self.bin / "helm"), *arguments], capture_output=True, text=True, env=environment
        )
        if check and done.returncode:
            raise ClusterError(f"helm {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def load(self, image: str) -> str:
        """Brings an image of the buildah storage onto every node; returns the reference for pods."""
        reference = push(image, self.registry_push)
        self.pull(reference)
        return reference

    def pull(self, reference: str) -> None:
        """Fetches `registry.local/…` from the registry onto every node, for who pushed it by himself."""
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda each: each.pull(reference), self.nodes()))

    def dump(self, folder: Path) -> None:
        """Writes what explains a failure: logs, objects, events, logs of pods."""
        diagnostics.dump(self, folder)

    def nodes(self) -> list[Node]:
        plan = self.plan
        return [Node(plan, index) for index in range(1, plan.nodes + 1)]

    # How it is done

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with locked(self.state.with_name(f"{self.name}.lock"), waiting_for=f"cluster {self.name}"):
            yield

    def _has_kueue(self) -> bool:
        try:
            return self.plan.kueue
        except ClusterError:
            return False

    def _before(self, addresses: Addresses) -> Plan:
        """What was started here before; for a new cluster the least, and the last one's logs are removed."""
        try:
            before = self.plan
        except ClusterError:
            for name in ("logs", "etcd", "run"):
                shutil.rmtree(self.state / name, ignore_errors=True)
            self.audit_log.unlink(missing_ok=True)
            return Plan(self.name, self.state, addresses)
        if before.addresses != addresses:
            raise ClusterError(f"cluster {self.name} runs in another shape: `python -m cluster down` first")
        return before

    def _check_host_port(self, plan: Plan) -> None:
        """Else whoever listens there would be taken for this cluster."""
        if plan.host_port is None or self.supervisor.runs(components.forwarder(plan)):
            return
        if not is_free(plan.host_port):
            raise ClusterError(
                f"host port: {plan.host_port} of 127.0.0.1 is taken by another program; "
                "end that, or give a free port with --host-port"
            )

    def _start_nodes(self, plan: Plan) -> None:
        addons.ensure_volumes(plan.volumes)
        nodes = [Node(plan, index) for index in range(1, plan.nodes + 1)]
        api = Api(plan.addresses.api, Pki(plan.pki))
        since = time.time()
        with ThreadPoolExecutor() as threads:
            applied = threads.submit(self._apply_addons, plan)
            list(threads.map(lambda each: each.start_runtime(), nodes))
            marks.ensure(plan, api, self.kubectl)
            # One after another: they share a certificate.
            started = {each.name: each.start_kubelet() for each in nodes}
            applied.result()
        if plan.host_port:
            self.supervisor.ensure(components.forwarder(plan))
        for name, new in started.items():

            def ready(name: str = name, since: float = since if new else 0.0) -> bool:
                self.supervisor.require(f"containerd@{name}", f"kubelet@{name}", f"policy-agent@{name}")
                return api.node_ready(name, since=since)

            hint = f"See {self.supervisor.logs}/kubelet@{name}.log"
            wait_for(f"node {name} Ready", ready, 60, hint=hint)
        wait_for(
            "cluster DNS",
            lambda: api.deployment_ready("kube-system", "coredns"),
            60,
            hint=f"See `{self.bin}/kubectl --kubeconfig {self.kubeconfig} -n kube-system get pods,events`",
        )

    def _apply_addons(self, plan: Plan) -> None:
        manifest = addons.build_addons(plan.addresses, plan.volumes, marks.build_tolerations(plan))
        file, applied = plan.config / "addons.json", plan.config / "addons.applied"
        write_json(file, manifest)
        if applied.exists() and applied.read_text() == file.read_text():
            return
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(file))
        shutil.copy(file, applied)
