"""What a release does before it is uninstalled: a Helm hook runs `python -m yolo_operator farewell`.

The pods of trainings outlive the operator. Without this they would be open to the network as soon as the
chart's NetworkPolicies go, and their status would say `Running` for ever (ADR 26).
"""

import asyncio
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from yolo_crds import meta
from yolo_crds.conditions import HINTS, TERMINAL_PHASES, ConditionType, Phase, Reason
from yolo_crds.status import unserved_failure
from yolo_kube.errors import ConflictError, KubeError

from .jobs import Manifest
from .kube import Kube, connect
from .metrics import Metrics
from .settings import FarewellSettings
from .snapshot import Wire, print_time

JOB_NAME_LABEL = "batch.kubernetes.io/job-name"
"""Of each pod of a Job, set by Kubernetes 1.27 and newer."""
LOOK_EVERY = 1.0
TRIES = 3
_UNKNOWN_NOW = frozenset({ConditionType.POD_READY, ConditionType.PROGRESSING})


def build_kept_policies(job: Wire, pods: Iterable[Wire], policies: Iterable[Wire]) -> list[Manifest]:
    """Copies of the policies that select the Job's pods, for these alone, which go with the last of them.

    The garbage collector takes an object away when all of its owners are gone. The Job alone is not enough:
    when it is deleted its pods still have their grace period.
    """
    labels = job["spec"]["template"]["metadata"].get("labels", {})
    owners = [_owner(job, "batch/v1", "Job") | {"controller": True}]
    owners += [_owner(pod, "v1", "Pod") for pod in pods if _belongs(pod, job)]
    return [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {
                "name": f"{job['metadata']['name']}-{policy['metadata']['name']}",
                "namespace": job["metadata"]["namespace"],
                "labels": {
                    meta.LABEL_MANAGED_BY: meta.MANAGED_BY,
                    meta.LABEL_TRAINING: job["metadata"]["labels"][meta.LABEL_TRAINING],
                },
                "ownerReferences": owners,
            },
            "spec": policy["spec"]
            | {"podSelector": {"matchLabels": {JOB_NAME_LABEL: job["metadata"]["name"]}}},
        }
        for policy in policies
        if policy["spec"]["podSelector"].get("matchLabels", {}).items() <= labels.items()
    ]


def build_farewell(training: Wire, busy: bool, release: str, now: datetime) -> dict[str, Any]:
    """The status patch of a training that nobody watches from now on, whether a Job of it goes on or not."""
    status = training["status"]
    message = f"release {release} was uninstalled at {print_time(now)}; this training was {status['phase']}. "
    message += (
        "Its Job goes on alone: nobody tells its progress or its end here, or starts it again"
        if busy
        else "Nothing of it runs"
    )
    conditions = [
        condition
        | {
            "status": "Unknown",
            "reason": str(Reason.NO_OPERATOR),
            "message": message,
            "lastTransitionTime": print_time(now),
        }
        if condition["type"] in _UNKNOWN_NOW
        else condition
        for condition in status.get("conditions", ())
    ]
    return {
        "phase": str(Phase.UNSERVED),
        "message": f"{message}; {HINTS[Reason.NO_OPERATOR]}",
        "failure": unserved_failure(message).to_wire(),
        "seenAt": None,
        "printed": {"reason": str(Reason.NO_OPERATOR), "eta": None, "place": None},
        "waiting": None,
        "conditions": conditions,
    }


def is_watched(training: Wire) -> bool:
    """Whether an operator has taken the training up and its run has not ended."""
    phase = (training.get("status") or {}).get("phase", Phase.UNSERVED)
    return phase not in TERMINAL_PHASES and phase != Phase.UNSERVED


def run_farewell() -> int:
    """The exit code: 1 when the pods could not be kept from the network, and then nothing was changed.

    Raises ValidationError for settings that do not fit.
    """
    settings = FarewellSettings()

    async def leave() -> None:
        async with connect(Metrics()) as kube:
            await Farewell(kube, settings).run()

    try:
        asyncio.run(leave())
    except KubeError as error:
        say(
            f"error: {error}. Nothing was changed. `helm uninstall {settings.release} --no-hooks` goes on "
            "all the same; pods of trainings that run are then open to the network"
        )
        return 1
    return 0


def say(line: str) -> None:
    """A line for whoever uninstalls: Helm shows the hook's output."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Farewell:
    """First the policies, so that nothing has changed if they cannot be made; then the operator's end; then
    what the trainings are told."""

    def __init__(
        self,
        kube: Kube,
        settings: FarewellSettings,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._kube = kube
        self._settings = settings
        self._clock = clock

    async def run(self) -> None:
        """Raises KubeError as long as nothing was changed; what fails later is told."""
        if self._settings.stop:
            await self._stop_trainings()
        await self._keep_policies()
        await self._end_operator()
        try:
            await self._keep_policies()  # of what it created meanwhile
            await self._tell_trainings()
        except KubeError as error:
            say(f"warning: {error}; some trainings may say that they run, though nobody watches them")

    async def _list(self, resource: str) -> list[Wire]:
        namespaces: list[str | None] = [*self._settings.namespaces] or [None]
        return [found for one in namespaces for found in await self._kube.list_all(resource, one)]

    async def _keep_policies(self) -> None:
        chosen = {
            "app.kubernetes.io/instance": self._settings.release,
            "app.kubernetes.io/component": "network",
        }
        policies = [
            policy
            for policy in await self._list("networkpolicies")
            if chosen.items() <= policy["metadata"].get("labels", {}).items()
        ]
        pods = await self._list("pods")
        for job in await self._list("jobs"):
            if not _ended(job):
                here = [p for p in policies if p["metadata"]["namespace"] == job["metadata"]["namespace"]]
                for manifest in build_kept_policies(job, pods, here):
                    await self._kube.create_beside(job["metadata"]["namespace"], manifest)

    async def _stop_trainings(self) -> None:
        """Ask all to stop and wait while the operator, which still runs, sees to it."""
        watched = [training for training in await self._list(meta.PLURAL) if is_watched(training)]
        for training in watched:
            await self._kube.stop_training(
                training["metadata"]["namespace"], training["metadata"]["name"], training["metadata"]["uid"]
            )
        end = time.monotonic() + self._settings.stop_seconds
        while any(is_watched(training) for training in await self._list(meta.PLURAL)):
            if time.monotonic() > end:
                say(f"warning: some trainings have not ended within {self._settings.stop_seconds:.0f} s")
                return
            await asyncio.sleep(LOOK_EVERY)
        names = ", ".join(f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in watched)
        say(f"stopped: {names or 'none'}; raise spec.run with spec.resume to go on with one")

    async def _end_operator(self) -> None:
        """While it runs it would write its own words over ours."""
        namespace, name = self._settings.own_namespace, self._settings.deployment
        await self._kube.end_deployment(namespace, name)
        end = time.monotonic() + self._settings.operator_seconds
        while await self._kube.list_all("pods", namespace, self._settings.operator_selector):
            if time.monotonic() > end:
                say(f"warning: its pod is still there after {self._settings.operator_seconds:.0f} s")
                return
            await asyncio.sleep(LOOK_EVERY)

    async def _tell_trainings(self) -> None:
        busy = {
            (job["metadata"]["namespace"], job["metadata"]["labels"][meta.LABEL_TRAINING])
            for job in await self._list("jobs")
            if not _ended(job)
        }
        for _ in range(TRIES):
            missed = False
            for training in await self._list(meta.PLURAL):
                if is_watched(training):
                    missed |= not await self._tell(training, busy)
            if not missed:
                return

    async def _tell(self, training: Wire, busy: set[tuple[str, str]]) -> bool:
        """Whether it could be stored: somebody may have changed the object meanwhile."""
        metadata = training["metadata"]
        key = metadata["namespace"], metadata["name"]
        patch = build_farewell(training, key in busy, self._settings.release, self._clock())
        try:
            await self._kube.patch_training_status(*key, metadata["resourceVersion"], patch)
        except ConflictError:
            return False
        goes_on = "its Job goes on alone" if key in busy else "nothing of it runs"
        say(f"training {key[1]} in namespace {key[0]} is told that no operator watches it; {goes_on}")
        return True


def _ended(job: Wire) -> bool:
    conditions = job.get("status", {}).get("conditions") or ()
    return any(c["type"] in {"Complete", "Failed"} and c["status"] == "True" for c in conditions)


def _belongs(pod: Wire, job: Wire) -> bool:
    owners = pod["metadata"].get("ownerReferences") or ()
    ended = pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}
    return not ended and any(owner["uid"] == job["metadata"]["uid"] for owner in owners)


def _owner(body: Wire, version: str, kind: str) -> Manifest:
    return {
        "apiVersion": version,
        "kind": kind,
        "name": body["metadata"]["name"],
        "uid": body["metadata"]["uid"],
    }
