"""What would help a training that has no node, the least effort first."""

from collections.abc import Sequence

from yolo_crds.conditions import HINTS, Reason

from .ask import Ask, is_device
from .forecast import Start
from .nodes import Kind
from .sight import Sight

_GONE_ON = "and raise spec.run"


def advise(sights: Sequence[Sight], ask: Ask, start: Start | str | None, pods: int = 1) -> str:
    """What would help `pods` pods that ask alike, the least effort first."""
    if not sights:
        return HINTS[Reason.UNSCHEDULABLE]
    advice = []
    if isinstance(start, Start):
        advice.append("starts by itself then")
    device = ask.device
    if device is not None:
        advice += _advise_on_device(sights, ask, device, pods)
    for kind, how in (
        (Kind.TAINTED, "tolerate its taint in spec.template.scheduling.tolerations, or have it removed"),
        (Kind.CORDONED, "have it uncordoned"),
        (Kind.LABELS, "change spec.template.scheduling.nodeSelector"),
    ):
        room = [sight for sight in sights if sight.kind is kind and sight.fits_but_for_obstacle()]
        if room:
            raised = "" if kind is Kind.CORDONED else f" {_GONE_ON}"
            advice.append(f"{room[0].node.name} would have room: {how}{raised}")
    lacking = {sight.short for sight in sights if sight.kind is Kind.IN_USE}
    if device is not None and lacking and all(name and not is_device(name) for name in lacking):
        names = " and ".join(sorted(str(name) for name in lacking))
        advice.append(f"lower spec.template.resources ({names}) {_GONE_ON}")
    return "; or ".join(advice[:3]) if advice else HINTS[Reason.UNSCHEDULABLE]


def _advise_on_device(sights: Sequence[Sight], ask: Ask, device: str, pods: int) -> list[str]:
    offering = [sight for sight in sights if sight.kind is not Kind.NO_DEVICE]
    if not offering:
        found = {n for s in sights for n, amount in s.node.allocatable.items() if is_device(n) and amount}
        if not found:
            return [f"no node has {device}: is the device plugin up? Else add a node that has it"]
        names = ", ".join(sorted(found)[:3])
        return [f"set spec.template.resources.gpuResource to what nodes have ({names}) {_GONE_ON}"]
    wanted = ask.requests[device]
    possible = [s for s in offering if s.kind in {Kind.IN_USE, Kind.TOO_SMALL, Kind.NOTHING}]
    roomy = max(
        (sight for sight in possible if _only_device(sight, device)),
        key=lambda sight: sight.least.get(device, 0),
        default=None,
    )
    now = roomy.least.get(device, 0) if roomy else 0
    most = max((s.node.allocatable.get(device, 0) for s in possible), default=0)
    if roomy and 1000 <= now < wanted and pods == 1:
        return [f"with gpus: {now // 1000} it would fit on {roomy.node.name} now (raise spec.run)"]
    if 0 < most < wanted:
        return [f"no node that it may use has more than {most // 1000}: set gpus to that {_GONE_ON}"]
    return []


def _only_device(sight: Sight, device: str) -> bool:
    """Whether nothing but GPUs is missing there."""
    return all(
        sight.least.get(name, 0) >= amount for name, amount in sight.ask.requests.items() if name != device
    )
