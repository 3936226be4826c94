"""Which attempt a run folder belongs to: the newest entry of a list that is only ever appended to.

`.claims/<number>` holds {uid, created, run, attempt, past}. A number is taken by making its file, which only
one can do; whoever comes second looks again before the next number. So each claim was weighed against the
one before it, and an older attempt that wakes up between its look and its claim cannot take the folder back.
A program that starts the same attempt once more makes a claim, too: of two pods, or two programs on a
workstation, the later one has the folder.
An empty or torn entry is one whose writer died or is about to write: it counts for nothing until it is whole.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from yolo_crds.layout import RunFolder
from yolo_crds.trainer import TrainerConfig

from ..errors import FencedError
from . import files

CLOCKS_AGREE = 5.0
"""Seconds by which the API servers of one cluster may tell the creation of two objects apart wrongly."""
_KEPT = 3
"""Entries that stay; older ones say nothing any more."""
_PAST_MOST = 100
_TRIES = 1000


@dataclass(frozen=True)
class Claim:
    """One attempt's claim; `number` is 0 until it is made, `created` in Unix seconds if known."""

    uid: str
    run: int
    attempt: int
    created: float | None = None
    past: tuple[str, ...] = ()
    """Objects that had the folder before this one."""
    number: int = 0

    @classmethod
    def of(cls, config: TrainerConfig) -> Claim:
        """What the attempt of a configuration claims."""
        return cls(config.uid, config.run, config.attempt, config.created)

    def is_of(self, other: Claim) -> bool:
        """Whether both are claims of the same attempt."""
        return (self.uid, self.run, self.attempt) == (other.uid, other.run, other.attempt)

    def may_follow(self, last: Claim) -> bool:
        """Whether this claim is newer than `last`: a later attempt of its object, or one of a later object.

        Of two objects the one created later is newer; where clocks do not tell, the one that had the folder
        before is the older one.
        """
        if self.uid == last.uid:
            return (self.run, self.attempt) > (last.run, last.attempt)
        if self.uid in last.past:
            return False
        if self.created is None or last.created is None:
            return True
        return self.created > last.created - CLOCKS_AGREE


def newest(folder: RunFolder) -> Claim | None:
    """The claim that counts; None when nobody has made any."""
    return _newest(folder, _numbers(folder))


def make(folder: RunFolder, me: Claim) -> Claim:
    """Takes the folder, if `me` is not older than whoever has it; the claim as it was made.

    Raises FencedError when a newer attempt or object has it, or takes it meanwhile.
    """
    files.make_folder(folder.claims)
    taken: set[int] = set()
    made: set[int] = set()
    for _ in range(_TRIES):
        numbers = sorted({*_numbers(folder), *taken})
        last = _newest(folder, numbers)
        if last is not None and last.number in made:
            _drop_old(folder, numbers, last)
            return last
        if last is not None and not (me.may_follow(last) or (last.is_of(me) and not made)):
            raise fenced(folder, me, last)
        number = numbers[-1] + 1 if numbers else 1
        mine = replace(me, past=_past(last, me), number=number)
        if files.create(folder.claims / f"{number:08}", _to_json(mine)):
            made.add(number)
        taken.add(number)  # by us or by another, whom the next look weighs
    raise FencedError(f"{folder.claims}: others claim the folder all the time; gave up")


def check(folder: RunFolder, me: Claim) -> Claim:
    """This attempt's claim; raises FencedError unless it is the newest: any one of it without a `number`."""
    last = newest(folder)
    if last is not None and last.is_of(me) and me.number in {0, last.number}:
        return last
    raise fenced(folder, me, last)


def fenced(folder: RunFolder, me: Claim, last: Claim | None) -> FencedError:
    """Why an attempt may not go on."""
    mine = f"run {me.run} attempt {me.attempt}"
    if last is None:
        return FencedError(f"{folder.train} was not taken for {mine} (by its prepare stage); it stops")
    if last.is_of(me):
        return FencedError(f"{folder.train}: {mine} was started once more, and goes on there; this one stops")
    whose = "" if last.uid == me.uid else f" of another training object ({last.uid}{_later(me, last)})"
    owner = f"run {last.run} attempt {last.attempt}{whose}"
    return FencedError(f"{folder.train} belongs to {owner}; {mine} stops")


def _later(me: Claim, last: Claim) -> str:
    """By how much another object is the newer one: hours, where the clock of the API server was set back."""
    if me.created is None or last.created is None or last.created <= me.created:
        return ""
    return f", created {last.created - me.created:.0f} s after this one by the API server's clock"


def _numbers(folder: RunFolder) -> list[int]:
    return [int(name) for name in files.names(folder.claims) if name.isdecimal()]


def _newest(folder: RunFolder, numbers: list[int]) -> Claim | None:
    for number in sorted(numbers, reverse=True):
        content = files.read(folder.claims / f"{number:08}")
        if content and (found := _from_json(content, number)):
            return found
    return None


def _past(last: Claim | None, me: Claim) -> tuple[str, ...]:
    if last is None:
        return ()
    earlier = [uid for uid in (*last.past, last.uid) if uid != me.uid]
    return tuple(dict.fromkeys(earlier))[-_PAST_MOST:]


def _drop_old(folder: RunFolder, numbers: list[int], mine: Claim) -> None:
    for number in numbers:
        if number <= mine.number - _KEPT:
            files.remove(folder.claims / f"{number:08}")


def _to_json(claim: Claim) -> bytes:
    fields = {"uid": claim.uid, "created": claim.created, "run": claim.run, "attempt": claim.attempt}
    return json.dumps({**fields, "past": list(claim.past)}).encode()


def _from_json(content: bytes, number: int) -> Claim | None:
    try:
        found = json.loads(content)
        created = None if found["created"] is None else float(found["created"])
        past = tuple(str(uid) for uid in found["past"])
        return Claim(str(found["uid"]), int(found["run"]), int(found["attempt"]), created, past, number)
    except (ValueError, KeyError, TypeError):
        return None
