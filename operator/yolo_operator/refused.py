"""What it means that the API server refuses a pod or Job: does waiting help, and what is the cure?

The words are those of Kubernetes 1.36: the quota controller (apiserver/pkg/admission/plugin/resourcequota and
pkg/quota/v1/evaluator/core/pods.go), LimitRanger (plugin/pkg/admission/limitranger), the validation of pods,
and OpenShift's security context constraints.
"""

import re
from dataclasses import dataclass

from yolo_crds.conditions import Reason
from yolo_crds.meta import TRAINER_CONTAINER, Stage

from .ask import parse_amount


@dataclass(frozen=True)
class Refusal:
    """Why, and what a person can do; `hint` is None where the reason's own says it."""

    reason: Reason
    hint: str | None = None


_UNSTATED = re.compile(r"failed quota: ([\w.-]+): must specify (.+)")
_EXCEEDED = re.compile(r"exceeded quota: ([\w.-]+), requested: (\S+), used: \S+, limited: (\S+)")
_RANGE = re.compile(
    r"(?:(minimum|maximum) ([\w./-]+) usage per (\w+) is|([\w./-]+) max limit to request ratio per (\w+) is)"
)
_BELOW_REQUEST = re.compile(
    r'Invalid value: "([^"]+)": must be less than or equal to ([\w./-]+) limit of (\w+)'
)
_SCOPES = "insufficient quota to"
_SECURITY = re.compile(r"security context constraint")
_SPECIFIED = re.compile(r"([a-z][\w./-]*)(?: for: ([\w.,-]+))?")
_CHANGED = "and raise spec.run"


def explain_refusal(message: str, stage: Stage = Stage.TRAIN) -> Refusal:
    """What the API server's `message` about a pod, or the Job itself, of this stage means."""
    if found := _UNSTATED.search(message):
        return Refusal(Reason.LIMIT_MISSING, _to_state(found[1], found[2]))
    if found := _EXCEEDED.search(message):
        return _of_quota(found[1], _amounts(found[2]), _amounts(found[3]), stage)
    if found := _BELOW_REQUEST.search(message):
        return Refusal(Reason.OUTSIDE_LIMIT_RANGE, _below_request(found[1], found[2], found[3], stage))
    if found := _RANGE.search(message):
        resource = found[2] or found[4]
        return Refusal(Reason.OUTSIDE_LIMIT_RANGE, _outside(resource, ratio=bool(found[4]), stage=stage))
    if _SCOPES in message:
        return Refusal(
            Reason.FORBIDDEN,
            "waiting does not help, since no ResourceQuota here allows pods of that priority class or scope: "
            f"have one made, or name another scheduling.priorityClassName {_CHANGED}",
        )
    if "quota" in message:
        return Refusal(Reason.QUOTA_EXCEEDED)
    if _SECURITY.search(message):
        return Refusal(
            Reason.FORBIDDEN,
            "OpenShift chooses user and group of a namespace's pods itself: set podSecurity.runAsUser and "
            "podSecurity.runAsGroup to null in the Helm values",
        )
    return Refusal(Reason.FORBIDDEN)


def _to_state(quota: str, wanted: str) -> str:
    """Of `limits.cpu for: trainer; requests.memory for: proxy`; older versions name no containers."""
    named = _SPECIFIED.findall(wanted)
    resources = [resource for resource, _ in named]
    strangers = {one for _, names in named for one in names.split(",") if one and one != TRAINER_CONTAINER}
    told = ", ".join(resources)
    by_range = f"have a LimitRange made in this namespace that gives a default for {told}"
    begin = f"waiting does not help, since the quota {quota} takes only pods that state {told}: "
    if strangers or resources != ["limits.cpu"]:
        whose = f" (injected: {', '.join(sorted(strangers))})" if strangers else ""
        return f"{begin}{by_range}{whose}"
    field = f"spec.template.resources.cpuLimit {_CHANGED}"
    return f"{begin}set trainer.limitCpu in the Helm values, or {field}, or {by_range}"


def _of_quota(quota: str, wanted: dict[str, str], hard: dict[str, str], stage: Stage) -> Refusal:
    """Whether the pod is more than the quota has in all, or only more than is left of it."""
    too_much = [
        f"{name} {amount} of {hard[name]}"
        for name, amount in wanted.items()
        if name in hard and parse_amount(amount) > parse_amount(hard[name])
    ]
    if not too_much:
        return Refusal(Reason.QUOTA_EXCEEDED)
    fields = dict.fromkeys(_field(item.split()[0], stage) for item in too_much)
    lower = "".join(f"lower {field}, or " for field in fields if field)
    return Refusal(
        Reason.EXCEEDS_QUOTA,
        f"waiting does not help, since it asks for more than the quota {quota} has in all "
        f"({', '.join(too_much)}): {lower}have the quota raised",
    )


def _below_request(request: str, resource: str, limit: str, stage: Stage) -> str:
    field = _field(resource, stage)
    cures = [f"lower {field} to {limit}"] if field else []
    if resource == "cpu":
        own = f"spec.template.resources.cpuLimit {_CHANGED}"
        cures.append(f"set trainer.limitCpu in the Helm values or {own}")
    cures.append("have that default raised")
    return (
        f"waiting does not help: a LimitRange of the namespace gives containers that state none a {resource} "
        f"limit of {limit}, and this one asks for {request}: {', or '.join(cures)}"
    )


def _outside(resource: str, *, ratio: bool, stage: Stage) -> str:
    field = _field(resource, stage)
    if ratio and resource == "cpu":
        what = "set trainer.limitCpu in the Helm values (limit and request are then the same), or "
    else:
        what = f"change {field}, or " if field else ""
    return f"waiting does not help, since a LimitRange of the namespace refuses it: {what}have that changed"


def _field(resource: str, stage: Stage) -> str | None:
    """What sets how much of a resource the stage's pod asks for; None where nothing does."""
    name = resource.removeprefix("requests.").removeprefix("limits.")
    if name in {"cpu", "memory"}:
        if stage == Stage.PREPARE:
            return f"trainer.prepare.{name} in the Helm values"
        return f"spec.template.resources.{name} {_CHANGED}"
    if "/" in name:
        return f"spec.template.resources.gpus {_CHANGED}"
    return None


def _amounts(text: str) -> dict[str, str]:
    """Of `limits.cpu=2,pods=1`."""
    return dict(part.split("=", 1) for part in text.split(",") if "=" in part)
