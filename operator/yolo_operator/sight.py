"""One node as a pod sees it that waits: what is in its way there, and the words for it."""

from datetime import UTC, datetime

from yolo_crds.quantities import UNIT

from .ask import Ask, is_device
from .forecast import least_free, most_free
from .nodes import (
    ITSELF,
    Holder,
    Kind,
    Node,
    Obstacle,
    Surroundings,
    find_obstacle,
    order_of_telling,
    print_amount,
    scale_of,
)

HOLDERS_MOST = 3
"""Holders that are named of one node."""


class Sight:
    """One node as the pod sees it."""

    def __init__(self, node: Node, ask: Ask, around: Surroundings) -> None:
        self.node, self.ask = node, ask
        self.obstacle: Obstacle | None = find_obstacle(node, ask)
        self.exact = around.others is not None
        self.free = most_free(node, around)
        self.least = least_free(node, around)
        self.holders = around.holders_by_node.get(node.name, [])
        short = [name for name, amount in ask.requests.items() if self.free.get(name, 0) < amount]
        unsure = [name for name, amount in ask.requests.items() if self.least.get(name, 0) < amount]
        self.short = min(short or unsure, key=order_of_telling, default=None)

    @property
    def kind(self) -> Kind:
        if self.obstacle is not None:
            return self.obstacle.kind
        return Kind.IN_USE if self.short else Kind.NOTHING

    @property
    def order(self) -> tuple[int, int, str]:
        """Nearest to fitting first."""
        lacks = 0
        if self.short is not None:
            lacks = self.ask.requests[self.short] - self.free.get(self.short, 0)
        return int(self.kind), lacks, self.node.name

    def fits_but_for_obstacle(self) -> bool:
        """Whether there surely is room, if only the pod were let in."""
        return all(self.least.get(name, 0) >= amount for name, amount in self.ask.requests.items())

    def words(self, now: datetime) -> str:
        """The node's name and what keeps the pod from it."""
        name = self.node.name
        if self.obstacle is not None:
            return f"{name} {self.obstacle.words}"
        if self.short is None:
            return f"{name} seems to have room"
        total = print_amount(self.short, self.node.allocatable.get(self.short, 0))
        free = print_amount(self.short, self.free.get(self.short, 0)).split(" ")[0]
        held = self._held(now)
        asked = (
            ""
            if is_device(self.short)
            else f", {self.ask.requests[self.short] / scale_of(self.short):.3g} are asked"
        )
        unusable = self.node.unusable.get(self.short, 0)
        broken = f", {unusable // UNIT} more cannot be used now" if unusable else ""
        most = "" if self.exact or self.free.get(self.short, 0) <= 0 else "at most "
        return f"{name} has {most}{free} of {total} free{asked}{held}{broken}"

    def _held(self, now: datetime) -> str:
        if self.short is None or not is_device(self.short):
            return ""
        holders = sorted(
            (holder for holder in self.holders if holder.requests.get(self.short)),
            key=lambda holder: (holder.ends_at or datetime.max.replace(tzinfo=UTC), holder.name),
        )
        told = [print_holder(holder, self.short, now) for holder in holders[:HOLDERS_MOST]]
        if len(holders) > HOLDERS_MOST:
            told.append(f"{len(holders) - HOLDERS_MOST} more trainings hold the rest of theirs")
        allocatable = self.node.allocatable.get(self.short, 0)
        others = allocatable - self.free.get(self.short, 0) - sum(h.requests[self.short] for h in holders)
        if self.exact and others > 0:
            told.append(f"other pods hold {others // 1000}")
        return f" ({', '.join(told)})" if told else ""


def print_moment(moment: datetime, now: datetime) -> str:
    """`14:25 UTC`, with the date where it is not today's."""
    at = moment.astimezone(UTC)
    return at.strftime("%H:%M UTC" if at.date() == now.astimezone(UTC).date() else "%Y-%m-%d %H:%M UTC")


def print_holder(holder: Holder, resource: str, now: datetime, where: str = "") -> str:
    """Such as `cats holds 3 until about 14:25 UTC`."""
    number = f"{holder.requests[resource] / 1000:g}{where}"
    if holder.name == ITSELF:
        return f"{ITSELF} holds {number}"
    if holder.leaving:
        return f"{holder.name} holds {number} and is leaving"
    if holder.ends_at is None:
        return f"{holder.name} holds {number}, no ETA yet"
    if holder.ends_at <= now:
        return f"{holder.name} holds {number}, past its ETA"
    return f"{holder.name} holds {number} until about {print_moment(holder.ends_at, now)}"
