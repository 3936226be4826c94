"""What it means that the API server refuses a pod or Job: does waiting help, and what is the cure?

The words are those of Kubernetes 1.36: the quota controller (apiserver/pkg/admission/plugin/resourcequota and
pkg/quota/v1/evaluator/core/pods.go), LimitRanger (plugin/pkg/admission/limitranger), the validation of pods,
and OpenShift's security context constraints.
"""

import re
from dataclasses import dataclass

from yolo_crds.conditions import Reason
from yolo_crds.meta import TRAINER_CONTAINER, Stage
from yolo_crds.quantities import parse_amount


@dataclass(frozen=True)
class Refusal:
    """Why, and what a person can do; `hint` is None where the reason's own says it."""

    reason: Reason
    hint: str | None = None


_UNSTATED = re.compile(r"failed quota: ([\w.-]+): must specify (.+)")
_EXCEEDED = re.compile(r"exceeded quota: ([\w.-]+), requested: (\S+), used: \S+, limited: (\S+)")
_UNCOVERED = re.compile(r"insufficient quota to (consume|match these scopes): (.+)")
_COUNTING = re.compile(
    r"status unknown for quota|quota evaluation timed out|cannot be fulfilled on resourcequotas"
)
_RANGE = re.compile(
    r"(?:(?:minimum|maximum) (?P<bounded>[\w./-]+) usage|(?P<ratio>[\w./-]+) max limit to request ratio) "
    r"per \w+ is \S+?(?:, but (?P<value>limit|request) is|\.\s+No (?P<unstated>limit|request)|, but )"
)
_BELOW_REQUEST = re.compile(
    r"(?:\b(?P<container>(?:init)?[cC]ontainers\[\d+\])\S*: )?"
    r'Invalid value: "(?P<request>[^"]+)": must be less than or equal to (?P<resource>[\w./-]+) limit of '
    r"(?P<limit>\w+)"
)
_SECURITY = re.compile(r"security context constraint")
_SPECIFIED = re.compile(r"([a-z][\w./-]*)(?: for: ([\w.,-]+))?")
_CHANGED = "and raise spec.run"
_STATE_LIMIT = (
    "set trainer.limitCpu in the Helm values (limit and request are then the same) or "
    f"spec.template.resources.cpuLimit {_CHANGED}"
)


def explain_refusal(message: str, stage: Stage = Stage.TRAIN, pods: int = 1) -> Refusal:
    """What the API server's `message` about a pod, or the Job itself, of this stage means.

    `pods` of the same size are to run together.
    """
    if found := _UNSTATED.search(message):
        return Refusal(Reason.LIMIT_MISSING, _to_state(found[1], found[2]))
    if found := _EXCEEDED.search(message):
        return _of_quota(found[1], _amounts(found[2]), _amounts(found[3]), stage, pods)
    if found := _BELOW_REQUEST.search(message):
        return Refusal(Reason.OUTSIDE_LIMIT_RANGE, _below_request(found, stage))
    if bounds := list(_RANGE.finditer(message)):
        return Refusal(Reason.OUTSIDE_LIMIT_RANGE, _outside(bounds, stage))
    if found := _UNCOVERED.search(message):
        return Refusal(Reason.FORBIDDEN, _uncovered(found[1], found[2]))
    if _COUNTING.search(message):
        return Refusal(
            Reason.QUOTA_EXCEEDED,
            "the API server has not counted yet what the quota holds, or others changed it just then: tried "
            "again by itself",
        )
    # The object's name, which may be any word, goes before what is said of it.
    if "quota" in message.rpartition(" is forbidden: ")[2]:
        return Refusal(Reason.QUOTA_EXCEEDED)
    if _SECURITY.search(message):
        return Refusal(
            Reason.FORBIDDEN,
            "OpenShift chooses user and group of a namespace's pods itself: set podSecurity.runAsUser and "
            "podSecurity.runAsGroup to null in the Helm values",
        )
    return Refusal(Reason.FORBIDDEN)


def _uncovered(how: str, what: str) -> str:
    """Of a cluster that gives some resources or scopes by quota alone (`limitedResources`)."""
    if how == "consume":
        return (
            f"waiting does not help, since this cluster gives {what} by quota alone, and no ResourceQuota of "
            "the namespace counts it: have one made"
        )
    hint = "waiting does not help, since no ResourceQuota here allows pods of that priority class or scope: "
    other = f", or name another scheduling.priorityClassName {_CHANGED}" if "PriorityClass" in what else ""
    return f"{hint}have one made{other}"


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


def _of_quota(quota: str, wanted: dict[str, str], hard: dict[str, str], stage: Stage, pods: int) -> Refusal:
    """Whether the pods are more than the quota has in all, or only more than is left of it."""
    times = f"{pods} times " if pods > 1 else ""
    too_much = {
        name: f"{name} {times}{amount} of {hard[name]}"
        for name, amount in wanted.items()
        if name in hard and parse_amount(amount) * pods > parse_amount(hard[name])
    }
    if not too_much:
        return Refusal(Reason.QUOTA_EXCEEDED)
    fields = dict.fromkeys(_field(name, stage) for name in too_much)
    lower = ", and ".join(f"lower {field}" for field in fields if field)
    lower = f"{lower}, or " if lower else ""
    fewer = f"lower spec.template.resources.nodes {_CHANGED}, or " if pods > 1 else ""
    return Refusal(
        Reason.EXCEEDS_QUOTA,
        f"waiting does not help, since it asks for more than the quota {quota} has in all "
        f"({', '.join(too_much.values())}): {lower}{fewer}have the quota raised",
    )


def _below_request(found: re.Match[str], stage: Stage) -> str:
    container, request, resource, limit = found.group("container", "request", "resource", "limit")
    begin = (
        f"waiting does not help: a LimitRange of the namespace gives containers that state none a {resource} "
        f"limit of {limit}, and"
    )
    if container not in {None, "containers[0]"}:
        return (
            f"{begin} {container}, which somebody injected, asks for {request}: have that default raised, or "
            "a limit stated by whoever injects it"
        )
    field = _field(resource, stage)
    cures = []
    if field:
        run = f" {_CHANGED}" if field.endswith(_CHANGED) else ""
        cures.append(f"lower {field.removesuffix(run)} to {limit}{run}")
    if resource == "cpu":
        own = f"spec.template.resources.cpuLimit {_CHANGED}"
        cures.append(f"set trainer.limitCpu in the Helm values or {own}")
    cures.append("have that default raised")
    return f"{begin} this one asks for {request}: {', or '.join(cures)}"


def _outside(bounds: list[re.Match[str]], stage: Stage) -> str:
    """Of each bound that is passed what would change it, and once where several say the same."""
    cures = dict.fromkeys(cure for bound in bounds if (cure := _cure(bound, stage)))
    what = f"{', and '.join(cures)}, or " if cures else ""
    return f"waiting does not help, since a LimitRange of the namespace refuses it: {what}have that changed"


def _cure(bound: re.Match[str], stage: Stage) -> str | None:
    resource = bound["ratio"] or bound["bounded"]
    if resource == "cpu" and (bound["ratio"] or bound["unstated"] == "limit"):
        return _STATE_LIMIT
    field = _field(f"limits.{resource}" if bound["value"] == "limit" else resource, stage)
    return field and f"change {field}"


def _field(resource: str, stage: Stage) -> str | None:
    """What sets how much of a resource the stage's pod asks for; None where nothing does."""
    name = resource.removeprefix("requests.").removeprefix("limits.")
    if name in {"cpu", "memory"}:
        if stage == Stage.PREPARE:
            return f"trainer.prepare.{name} in the Helm values"
        if resource == "limits.cpu":
            return f"spec.template.resources.cpuLimit (where it is unset, cpu) {_CHANGED}"
        return f"spec.template.resources.{name} {_CHANGED}"
    if "/" in name and not name.startswith("count/"):
        return f"spec.template.resources.gpus {_CHANGED}"
    return None


def _amounts(text: str) -> dict[str, str]:
    """Of `limits.cpu=2,pods=1`."""
    return dict(part.split("=", 1) for part in text.split(",") if "=" in part)
