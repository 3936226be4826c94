"""When a pod that waits may get its node: the holders' ends by their own ETAs, played through.

A number is given only where every end that it rests on was told by a training itself. What is not known
counts as taken for good: pods of others, trainings without an ETA, and those that wait longer, once started.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from .ask import Amounts, Ask, add, is_device, subtract
from .nodes import ITSELF, Holder, Node, Rival, Surroundings, find_obstacle

RIVALS_MOST = 50
"""With more that come first, a forecast would rest on too much."""
_PODS_MOST = 64


@dataclass(frozen=True)
class Start:
    """When a pod may start, and what that rests on."""

    at: datetime
    node: str
    """Empty for several pods, which may go to several nodes."""
    after: tuple[Holder, ...]
    """Those that end before, on that node or those."""
    ahead: int
    """Trainings that wait longer and were let in first."""


def least_free(node: Node, around: Surroundings) -> dict[str, int]:
    """What is free on a node at least: nothing of it, where the pods of others are not known."""
    if around.others is None:
        return dict.fromkeys(node.allocatable, 0)
    return most_free(node, around)


def most_free(node: Node, around: Surroundings) -> dict[str, int]:
    """What is free on a node at most: all that no known pod has asked for."""
    taken: list[Amounts] = [holder.requests for holder in around.holders_by_node.get(node.name, ())]
    if around.others is not None:
        taken.append(around.others.get(node.name, {}))
    return subtract(node.allocatable, taken)


def fits(ask: Ask, free: Amounts) -> bool:
    """Whether there is room for one pod."""
    return all(free.get(name, 0) >= amount for name, amount in ask.requests.items())


def count_pods(ask: Ask, free: Amounts) -> int:
    """For how many pods there is room."""
    counts = (max(0, free.get(name, 0)) // amount for name, amount in ask.requests.items())
    return min(counts, default=0)


def comes_before(rival: Rival, ask: Ask, turn: str) -> bool:
    """Whether another one is let in first, as the scheduler sorts: by priority, then by time."""
    return _turn(rival) < (-ask.priority, turn)


def foresee(ask: Ask, pods: int, around: Surroundings, turn: str, now: datetime) -> Start | str | None:
    """When `pods` pods that ask alike may all start, or why that is not known; None where they fit now."""
    eligible = _Eligible(around.nodes)
    mine = eligible.names(ask)
    if not mine:
        return "it cannot start as things are"
    ahead = [rival for rival in around.rivals if comes_before(rival, ask, turn)]
    ahead = [rival for rival in ahead if mine & eligible.names(rival.ask)]
    if len(ahead) > RIVALS_MOST:
        return f"when it starts is not known: {len(ahead)} trainings that wait longer come first"
    free = {node.name: least_free(node, around) for node in around.nodes}
    waiting = [rival for rival in sorted(ahead, key=_turn) for _ in range(min(rival.pods, _PODS_MOST))]
    for name in sorted(free):
        _let_in(waiting, name, free, eligible)
    room = {name: count_pods(ask, free[name]) for name in mine}
    near = _near(around.nodes, mine, ask.together)
    if any(sum(room[name] for name in names) >= pods for names in near):
        return None
    ended: list[Holder] = []
    for at, holder in _ends(around, now):
        node = holder.node
        if node not in free:
            continue
        free[node] = add(free[node], {k: v for k, v in holder.requests.items() if k in free[node]})
        ended.append(holder)
        _let_in(waiting, node, free, eligible)
        if node in room:
            room[node] = count_pods(ask, free[node])
            names = next(names for names in near if node in names)
            if sum(room[name] for name in names) >= pods:
                where = {node} if pods == 1 else names
                after = tuple(one for one in ended if one.node in where)
                let_in = len(ahead) - len({id(rival) for rival in waiting})
                return Start(at, node if pods == 1 else "", after, let_in)
    return _why_not(around, mine, now, len(ahead))


def _near(nodes: Iterable[Node], mine: frozenset[str], label: str) -> list[set[str]]:
    """The nodes that may take pods of one training: all together, or those with one value of a label."""
    found: dict[str, set[str]] = {}
    for node in nodes:
        if node.name in mine:
            found.setdefault(node.labels[label] if label else "", set()).add(node.name)
    return list(found.values())


def _turn(rival: Rival) -> tuple[int, str]:
    return -rival.ask.priority, rival.since


def _ends(around: Surroundings, now: datetime) -> list[tuple[datetime, Holder]]:
    """The ends that are told and still to come, the next one first."""
    told = [(holder.ends_at, holder) for holder in around.holders if holder.ends_at is not None]
    return sorted(((at, holder) for at, holder in told if at > now), key=lambda item: item[0])


def _let_in(waiting: list[Rival], node: str, free: dict[str, dict[str, int]], eligible: "_Eligible") -> None:
    """Those of the rivals for which the node has room take it, and are no longer waiting."""
    no_room: set[str] = set()
    for rival in list(waiting):
        if rival.ask.key in no_room:
            continue
        if node in eligible.names(rival.ask) and fits(rival.ask, free[node]):
            free[node] = subtract(free[node], [rival.ask.requests])
            waiting.remove(rival)
        else:
            no_room.add(rival.ask.key)


def _why_not(around: Surroundings, mine: frozenset[str], now: datetime, ahead: int) -> str:
    here = [one for one in around.holders if one.node in mine and any(map(is_device, one.requests))]
    here = [one for one in here if one.name != ITSELF]
    unknown = sorted({holder.name for holder in here if holder.ends_at is None})
    late = sorted({holder.name for holder in here if holder.ends_at is not None and holder.ends_at <= now})
    reasons = []
    if unknown:
        reasons.append(f"{print_names(unknown)} {'has' if len(unknown) == 1 else 'have'} told no ETA yet")
    if late:
        reasons.append(f"{print_names(late)} {'is past its' if len(late) == 1 else 'are past their'} ETA")
    if not reasons and ahead:
        reasons.append(
            "one that waits longer comes first" if ahead == 1 else f"{ahead} that wait longer come first"
        )
    if not reasons:
        unseen = around.others is None
        reasons.append(
            "the operator may not see the other pods there" if unseen else "the other pods there tell no end"
        )
    return f"when it starts is not known: {' and '.join(reasons)}"


def print_names(names: Sequence[str], most: int = 2) -> str:
    """Such as `a, b and 3 more`."""
    told = [*names[:most], *([f"{len(names) - most} more"] if len(names) > most else [])]
    return " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told)


class _Eligible:
    """The nodes that a pod may go to; asked for many pods that ask alike."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._nodes = tuple(nodes)
        self._known: dict[str, frozenset[str]] = {}

    def names(self, ask: Ask) -> frozenset[str]:
        if ask.key not in self._known:
            fit = (node.name for node in self._nodes if find_obstacle(node, ask) is None)
            self._known[ask.key] = frozenset(fit)
        return self._known[ask.key]
