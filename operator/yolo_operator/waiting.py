"""What a pod that finds no node waits for, in words and numbers: pure, from what is known of the nodes.

Times are told as moments and not as spans, and the ends of others move in the words only when they move by
more than a few minutes, so that a status does not change by itself.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from yolo_crds.conditions import HINTS, Reason
from yolo_crds.status import Failure, Forecast, Waiting, WaitsFor

from .advice import advise
from .ask import Ask
from .diagnosis import INSUFFICIENT, failure
from .forecast import Start, comes_before, foresee, print_names
from .nodes import ITSELF, Holder, Kind, Surroundings, order_of_telling, print_amount
from .sight import HOLDERS_MOST, Sight, print_holder, print_moment
from .snapshot import parse_time, print_time

MESSAGE_MOST = 470
"""Characters of the whole message: a condition holds 512, with the count of pods where there are several."""
NODES_MOST = 4
"""Nodes that are told one by one; the others are counted."""
STORED_MOST = 8
_STEADY = timedelta(minutes=1)
_STEADY_PART = 0.1
_SUMMED = {
    Kind.IN_USE: "in use",
    Kind.CORDONED: "cordoned",
    Kind.TAINTED: "tainted",
    Kind.AVOIDED: "avoided",
    Kind.SHARED: "with shared GPUs",
    Kind.LABELS: "excluded by labels",
    Kind.NOT_READY: "not ready",
    Kind.TOO_SMALL: "too small",
}


def explain_waiting(
    scheduler: str,
    ask: Ask,
    since: str,
    around: Surroundings,
    now: datetime,
    before: Waiting | None = None,
    pods: int = 1,
    turn: str | None = None,
) -> tuple[Failure, Waiting]:
    """Why `pods` pods that ask alike have no node since `since`, and when they may start.

    `scheduler` is what the scheduler says, `before` what was told last, `turn` as `turn_of` gives it (None:
    by `since`). Without nodes it is the scheduler's words and the trainings that hold what is asked for.
    """
    turn = turn or since
    ask, around = _leave_out_the_sure(_beside_its_own(ask, around), _steady(around, before, now), scheduler)
    start = foresee(ask, pods, around, turn, now) if around.nodes else "the nodes may not be read"
    if isinstance(start, Start):
        last = before.forecast.starts_at if before and before.forecast else None
        start = replace(start, at=_steady_moment(start.at, last, now))
    place = _place(ask, turn, around)
    sights = [Sight(node, ask, around) for node in around.nodes]
    sights.sort(key=lambda sight: sight.order)
    told = _tell(sights, ask, pods, since, place, start, now)
    if not around.nodes:
        told = _tell_without_nodes(scheduler, ask, around, now)
    elif start is None:
        told = f"{told}; but the scheduler says: {scheduler}"
    offering = [sight for sight in sights if sight.kind is not Kind.NO_DEVICE]
    shared = bool(offering) and all(sight.kind is Kind.SHARED for sight in offering)
    forecast = None
    if isinstance(start, Start):
        forecast = Forecast(starts_at=print_time(start.at), basis=_print_basis(start))
    waiting = Waiting(
        since=since,
        asked=_print_ask(ask, pods),
        place=place,
        forecast=forecast,
        holders=_print_holders(around, ask, {sight.node.name for sight in sights}),
    )
    reason = Reason.GPUS_SHARED if shared else Reason.UNSCHEDULABLE
    hint = HINTS[reason] if shared else advise(sights, ask, start, pods)
    return failure(reason, told, hint=hint), waiting


def _beside_its_own(ask: Ask, around: Surroundings) -> Ask:
    """What is asked for once pods of the same training have a node that the others must be near."""
    if not ask.together:
        return ask
    here = {holder.node for holder in around.holders if holder.name == ITSELF}
    values = {node.labels.get(ask.together) for node in around.nodes if node.name in here} - {None}
    if len(values) != 1:
        return ask
    return replace(ask, node_selector={**ask.node_selector, ask.together: str(values.pop())})


def _leave_out_the_sure(ask: Ask, around: Surroundings, scheduler: str) -> tuple[Ask, Surroundings]:
    """What is asked for without that of which there is enough, though how much of it is free is not seen: the
    scheduler names all that is missing on a node.
    """
    missing = INSUFFICIENT.findall(scheduler)
    if around.others is not None or not missing:
        return ask, around
    told = {*missing, ask.device}
    rivals = tuple(replace(rival, ask=rival.ask.only(told)) for rival in around.rivals)
    return ask.only(told), replace(around, rivals=rivals)


def _steady(around: Surroundings, before: Waiting | None, now: datetime) -> Surroundings:
    """The surroundings with those ends that were told last and still hold, as good as an ETA is."""
    told = {(one.name, one.node): one.ends_at for one in before.holders} if before else {}
    holders = (_steady_holder(one, told.get((one.name, one.node)), now) for one in around.holders)
    return replace(around, holders=tuple(holders))


def _steady_holder(holder: Holder, told: str | None, now: datetime) -> Holder:
    if holder.ends_at is None:
        return holder
    return replace(holder, ends_at=_steady_moment(holder.ends_at, told, now))


def _steady_moment(moment: datetime, told: str | None, now: datetime) -> datetime:
    """The moment as it was told last, where that is much the same and to come; else to the next minute."""
    if told is not None:
        last = parse_time(told)
        if last > now and abs(last - moment) <= max(_STEADY, _STEADY_PART * (last - now)):
            return last
    return (moment + timedelta(seconds=59)).replace(second=0, microsecond=0)


def _place(ask: Ask, turn: str, around: Surroundings) -> int | None:
    """From 1, among those that wait for the same resource; None for one that waits alone."""
    rivals = [rival for rival in around.rivals if rival.ask.device == ask.device]
    if not rivals:
        return None
    return 1 + sum(comes_before(rival, ask, turn) for rival in rivals)


def _print_ask(ask: Ask, pods: int) -> str:
    names = sorted(ask.requests, key=order_of_telling)
    device = ask.device
    told = [device] if device else [name for name in ("cpu", "memory") if name in names]
    what = " and ".join(print_amount(name, ask.requests[name]) for name in told) or "room"
    together = f", all of one {ask.together}" if ask.together else ""
    return f"{what} on one node" if pods == 1 else f"{pods} times {what}, each on one node{together}"


def _tell(
    sights: Sequence[Sight],
    ask: Ask,
    pods: int,
    since: str,
    place: int | None,
    start: Start | str | None,
    now: datetime,
) -> str:
    """The message, with as many nodes as it has room for."""
    queue = f", place {place}" if place else ""
    head = f"waits since {print_moment(parse_time(since), now)} for {_print_ask(ask, pods)}{queue}"
    tail = ""
    if isinstance(start, Start):
        tail = f". Expected to start about {print_moment(start.at, now)}, {_print_basis(start)}"
    elif start:
        tail = f". {start[0].upper()}{start[1:]}"
    for most in range(NODES_MOST, -1, -1):
        clauses = _clauses(sights, most, now)
        message = f"{head}{': ' if clauses else ''}{'; '.join(clauses)}{tail}"
        if len(message) <= MESSAGE_MOST:
            break
    return message[:MESSAGE_MOST]


def _clauses(sights: Sequence[Sight], most: int, now: datetime) -> list[str]:
    near = [sight for sight in sights if sight.kind is not Kind.NO_DEVICE]
    without = len(sights) - len(near)
    clauses = [sight.words(now) for sight in near[:most]]
    rest: dict[Kind, int] = {}
    for sight in near[most:]:
        rest[sight.kind] = rest.get(sight.kind, 0) + 1
    more = "more " if clauses else ""
    clauses += [f"{_count(number, more)} {_SUMMED.get(kind, 'with room')}" for kind, number in rest.items()]
    if without:
        device = sights[-1].ask.device or ""
        have = "has" if without == 1 else "have"
        more = "more " if clauses else ""
        clauses.append(f"{_count(without, more)} {have} no {device}")
    return clauses


def _count(number: int, more: str) -> str:
    return f"{number} {more}node{'' if number == 1 else 's'}"


def _tell_without_nodes(scheduler: str, ask: Ask, around: Surroundings, now: datetime) -> str:
    """What can be said without a right to read nodes: the scheduler's words, and which trainings hold it."""
    device = ask.device
    told = ""
    if device and "Insufficient" in scheduler:
        holders = [holder for holder in around.holders if holder.requests.get(device)]
        holders.sort(key=lambda holder: (holder.ends_at or datetime.max.replace(tzinfo=UTC), holder.name))
        held = [print_holder(one, device, now, where=f" on {one.node}") for one in holders[:HOLDERS_MOST]]
        more = len(holders) - len(held)
        if held:
            told = (
                f". Of the trainings known here {', '.join([*held, *([f'{more} more'] if more > 0 else [])])}"
            )
    return f"{scheduler.rstrip('.')}{told}"


def _print_basis(start: Start) -> str:
    names = list(dict.fromkeys(one.name for one in start.after))
    if all(one.leaving for one in start.after):
        ends = "has left, as it was asked to" if len(names) == 1 else "have left, as they were asked to"
    else:
        ends = "ends, by its own ETA" if len(names) == 1 else "have ended, by their own ETAs"
    first = ""
    if start.ahead:
        first = f", and {start.ahead} that wait{'s' if start.ahead == 1 else ''} longer before it"
    where = f" on {start.node}" if start.node else ""
    return f"when {print_names(names)}{where} {ends}{first}"


def _print_holders(around: Surroundings, ask: Ask, nodes: Iterable[str]) -> list[WaitsFor]:
    """The holders of what is asked for, those that end first."""
    device = ask.device
    if device is None:
        return []
    known = set(nodes)
    holders = [one for one in around.holders if one.requests.get(device) and (not known or one.node in known)]
    holders.sort(key=lambda one: (one.ends_at or datetime.max.replace(tzinfo=UTC), one.name, one.node))
    return [
        WaitsFor(
            name=one.name,
            node=one.node,
            amount=print_amount(device, one.requests[device]),
            ends_at=print_time(one.ends_at) if one.ends_at else None,
        )
        for one in holders[:STORED_MOST]
    ]
