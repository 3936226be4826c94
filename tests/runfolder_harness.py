"""Attempts at one run folder, interleaved at every file operation, killed and failed at each: what must hold.

Actors are threads of which one runs at a time; `files.point`, which the run folder's code calls before each
operation takes effect, is where one is stopped, killed or given an error and where another goes on. After
each step the folder itself is looked at by an oracle that shares no code with what is tested.

`python -m runfolder_harness [--level N]`: the sample that `make test` plays, or all; exit code 1 when a
promise is broken. That it finds faults is shown by `runfolder_mutants`.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import errno
import hashlib
import itertools
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from yolo_crds.layout import RunFolder
from yolo_crds.meta import Stage, attempt_token
from yolo_crds.trainer import Prepared, Result, TrainerConfig
from yolo_trainer.errors import FencedError, TrainerError
from yolo_trainer.runfolder import files
from yolo_trainer.runfolder.attempt import Attempt, claim, join, rejoin

SEED = 20_261_127
MODEL = "toy"
OLDER = b"of an older server"
MUTATING = frozenset({"mkdir", "create", "fill", "write", "rename", "link", "remove", "rmdir"})


class BrokenError(AssertionError):
    """A promise of the run folder does not hold."""


class KilledError(BaseException):
    """The process is gone: nothing that it still means to do takes effect."""


@dataclass
class Who:
    """One attempt: `created` orders the objects."""

    uid: str = "object-1"
    run: int = 1
    attempt: int = 1
    created: float = 100.0
    resume: bool = False
    epochs: int = 1
    tells_time: bool = True
    """Whether the configuration says when the object was created."""
    exit_code: int = 143
    """With which it left, if it was there before the play."""

    @property
    def token(self) -> str:
        return attempt_token(self.uid, self.run, self.attempt)

    @property
    def rank(self) -> tuple[float, int, int]:
        return self.created, self.run, self.attempt

    def is_older_than(self, other: Who) -> bool:
        return self.rank < other.rank


class Actor:
    """Runs one attempt from its claim to its end, step by step."""

    def __init__(self, stage: Stage_, who: Who, faults: dict[int, Fault] | None = None) -> None:
        self.who = who
        self.folder = str(stage.folder.attempt(who.token))
        self.steps = self.last_step = self.save_began = self.saves = 0
        self.error: BaseException | None = None
        self.claimed = False
        self.started_at: int | None = None
        self.finished_before = False
        self.exit_code = 0
        self.trace: list[str] = []
        self._stage = stage
        self._faults = faults or {}
        self._until: int | None = None
        self._dead = False
        self._logs: dict[str, Any] = {}
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._started = False

    @property
    def over(self) -> bool:
        return self._started and not self._thread.is_alive()

    def advance(self, until: int | None = None) -> None:
        """Goes on up to before step number `until` (from 0), or to the end."""
        if self.over:
            return
        self._until = until
        if not self._started:
            self._started = True
            self._thread.start()
        else:
            self._go.release()
        if not self._stopped.acquire(timeout=60):
            raise BrokenError(f"{self.who.token} hangs after {self.trace[-1:]}")
        if self.error is not None and isinstance(self.error, BrokenError):
            raise self.error

    def at_point(self, step: str, path: Path) -> None:
        """Called before each step takes effect."""
        if self._dead:
            raise KilledError
        number = self.steps
        self.steps += 1
        self._stage.clock += 1
        self.last_step = self._stage.clock
        self.trace.append(f"{step} {path.name}")
        if self._until is not None and number >= self._until:
            self._stopped.release()
            self._go.acquire()
            if self._dead:
                raise KilledError
        self._stage.look(self, step, path)
        fault = self._faults.get(number)
        if fault is None:
            fault = next((f for n, f in self._faults.items() if f.lasts and number >= n), None)
        if fault is not None:
            if fault.number is None:
                self._dead = True
                raise KilledError
            raise OSError(fault.number, "made up", str(path))

    def _main(self) -> None:
        _here.actor = self
        try:
            self._live()
        except BaseException as error:
            self.error = error
        finally:
            for log in self._logs.values():
                log.close()
            self._stopped.release()

    def _live(self) -> None:
        config = make_config(self._stage.root, self.who)
        attempt = claim(config)
        self.claimed = True
        if attempt.finished is not None:
            self.finished_before = True
            attempt.finish(self._result(finished=attempt.finished, stage=Stage.PREPARE))
            return
        self._logs = attempt.open_logs()
        attempt.hand_over(_prepared(self.who))
        self._train(join(config, rejoin(config).claim.number))

    def _train(self, attempt: Attempt) -> None:
        with attempt.start() as start:
            done = json.loads(start.stream.read())["epoch"] if start.exact and start.stream else 0
            self.started_at = done
            attempt.carry_best(start)
            rows = [row for row in start.results.splitlines() if int(row.split(",")[0]) <= done]
        for epoch in range(done + 1, done + 1 + self.who.epochs):
            self._logs["out"].write(f"{self.who.token} {epoch}\n")
            rows.append(f"{epoch},{self.who.token}")
            (attempt.path / "results.csv").write_text("\n".join(rows) + "\n")
            staging = attempt.path / "weights" / ".staging"
            staging.mkdir(parents=True, exist_ok=True)
            for name in ("last.pt", "best.pt"):
                (staging / name).write_bytes(f"{name} {self.who.token} {epoch}".encode())
            state = json.dumps({"epoch": epoch, "token": self.who.token}).encode()
            self.save_began = self._stage.clock
            attempt.save(partial(_write, state), staging)
            self.saves += 1
        attempt.publish(plots=True)
        attempt.finish(self._result())

    def _result(self, **fields: Any) -> Result:
        base = {"stage": Stage.TRAIN, "uid": self.who.uid, "run": self.who.run, "attempt": self.who.attempt}
        return Result.model_validate({**base, "exit_code": self.exit_code, **fields})


def _write(state: bytes, file: files.Sink) -> None:
    file.write(state)


@dataclass(frozen=True)
class Fault:
    """Death without a `number`, else that errno; once, or from there on."""

    number: int | None = None
    lasts: bool = False


DEATH = Fault()
FAULTS = {
    "death": DEATH,
    "full": Fault(errno.ENOSPC, lasts=True),
    "moment": Fault(errno.EIO),
    "stale": Fault(errno.ESTALE, lasts=True),
}


class Stage_:  # noqa: N801
    """A run folder with actors on it, and the oracle that looks at it after each step."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = RunFolder(MODEL, root)
        self.actors: list[Actor] = []
        self.clock = 0
        self.adopted = False
        self._newest: tuple[Any, ...] = ()
        self._bests: set[tuple[str, int]] = set()
        self._finished: set[tuple[str, int]] = set()
        self._whose: Actor | None = None
        self._changed: str | None = None
        self._view: dict[str, tuple[int, ...]] = {}
        self._places = [self.folder.train, self.folder.weights, self.folder.info, self.folder.logs]

    def add(self, who: Who, faults: dict[int, Fault] | None = None) -> Actor:
        actor = Actor(self, who, faults)
        self.actors.append(actor)
        return actor

    def look(self, actor: Actor, step: str, path: Path) -> None:
        """The invariants that hold at every moment; `actor` is about to make `step`."""
        changed, self._changed = self._changed, None
        if changed is not None:
            if "/.attempts/" not in changed:
                self._look_at_published()
            elif "state" in changed:
                self._look_at_states()
            elif "/weights/best.pt" in changed:
                self._look_at_best()
            elif changed.endswith("/weights/last.pt") and self._whose is not None:
                self._look_at_last(self._whose)
            elif "result" in changed:
                self._look_at_results()
        if step in MUTATING:
            self._whose, self._changed = actor, str(path)

    def _look_at_states(self) -> None:
        newest = max(whole_states(self), default=())
        if newest < self._newest:
            raise BrokenError(f"the newest whole state was {self._newest} and is {newest}")
        self._newest = newest

    def _look_at_last(self, who: Actor) -> None:
        """Killed here, an attempt must not have weights that are newer than what it can go on from."""
        with contextlib.suppress(FileNotFoundError):
            epoch = int(_content(f"{who.folder}/weights/last.pt").split()[-1])
            overtaken = any(a.claimed and who.who.is_older_than(a.who) for a in self.actors)
            if not overtaken and not any(s[:3] == who.who.rank and s[3] >= epoch for s in whole_states(self)):
                raise BrokenError(f"{who.who.token} has a last.pt of epoch {epoch} and no state of it")

    def _look_at_best(self) -> None:
        """A run that has a whole best.pt, not of an attempt that was overtaken before, has one ever after."""
        having = list(having_best(self))
        now = {(one.uid, one.run) for one in having}
        if not now >= self._bests:
            raise BrokenError(f"{self._bests - now} had a best.pt")
        claimed = [actor.who for actor in self.actors if actor.claimed]
        for one in having:
            if not any(one.is_older_than(other) for other in claimed):
                self._bests.add((one.uid, one.run))

    def _look_at_results(self) -> None:
        now = set(finished_runs(self))
        if not now >= self._finished:
            raise BrokenError(f"{self._finished - now} had finished")
        self._finished = now

    def _look_at_published(self) -> None:
        """What one actor did since the last look must be its right."""
        view = published(self._places)
        before, self._view, who = self._view, view, self._whose
        if who is None or view == before:
            return
        over = [a for a in self.actors if a.claimed and who.who.is_older_than(a.who)]
        if over:
            changed = sorted(k for k in view.keys() | before.keys() if view.get(k) != before.get(k))
            raise BrokenError(f"{who.who.token} changed {changed} after the claim of {over[0].who.token}")


_here = threading.local()


def _dispatch(step: str, path: Path) -> None:
    actor: Actor | None = getattr(_here, "actor", None)
    if actor is not None:
        actor.at_point(step, path)


@contextlib.contextmanager
def stage() -> Iterator[Stage_]:
    """A folder in memory where there is one, and the hook in the code under test."""
    place = Path("/dev/shm")
    root = Path(tempfile.mkdtemp(prefix="runfolder-", dir=place if place.is_dir() else None))
    before = files.point, files.sleep
    files.point, files.sleep = _dispatch, lambda _: None
    found = Stage_(root)
    try:
        yield found
    finally:
        for actor in found.actors:  # threads that were left in the middle end without effect
            actor._dead = True
            if actor._started and not actor.over:
                actor._go.release()
                actor._thread.join()
        files.point, files.sleep = before
        shutil.rmtree(root, ignore_errors=True)


def make_config(root: Path, who: Who) -> TrainerConfig:
    template = {"model": "yolo11n.yaml", "data": {"train": "d"}, "resources": {"gpus": 0}}
    wire = {"name": MODEL, "modelName": MODEL, "runsDir": str(root), "template": template}
    identity = {
        "uid": who.uid,
        "run": who.run,
        "attempt": who.attempt,
        "created": who.created if who.tells_time else None,
    }
    return TrainerConfig.model_validate({**wire, **identity, "resume": who.resume})


def _prepared(who: Who) -> Prepared:
    dataset = {"hash": "0" * 64, "images": 1, "backgrounds": 0, "boxes": 1, "classes": {"a": 1}}
    fields = {"uid": who.uid, "run": who.run, "attempt": who.attempt, "dataset": dataset, "data_yaml": "d"}
    return Prepared.model_validate(fields)


# The oracle: plain looks at files, by nothing that is under test.


def whole_states(stage: Stage_) -> Iterator[tuple[Any, ...]]:
    """(order of the attempt, epoch) of every whole state."""
    for actor in stage.actors:
        folder = actor.folder
        for name in ("state.pt", "state.prev.pt"):
            with contextlib.suppress(OSError, IndexError):
                digest = _content(f"{folder}/{name}.sha256").split()[0].decode()
                content = _content(f"{folder}/{name}")
                if hashlib.sha256(content).hexdigest() == digest:
                    yield (*actor.who.rank, json.loads(content)["epoch"])


def having_best(stage: Stage_) -> Iterator[Who]:
    for actor in stage.actors:
        with contextlib.suppress(OSError):
            digests = _content(f"{actor.folder}/weights/best.pt.sha256").split()[::2]
            digest = hashlib.sha256(_content(f"{actor.folder}/weights/best.pt")).hexdigest()
            if digest.encode() in digests:
                yield actor.who


def finished_runs(stage: Stage_) -> Iterator[tuple[str, int]]:
    for actor in stage.actors:
        with contextlib.suppress(OSError):
            found = json.loads(_content(f"{actor.folder}/result.json"))
            if found["stage"] == "train" and found["exitCode"] == 0:
                yield found["uid"], found["run"]


def _content(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 1 << 16)
    finally:
        os.close(descriptor)


def published(places: list[Path]) -> dict[str, tuple[int, ...]]:
    """All that a client of the run volume sees: which file under which path."""
    found = {}
    for base in places:
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(base):
                if entry.name[0] != "." and not entry.is_dir():
                    stat = entry.stat()
                    grows = entry.name.endswith(".log")
                    found[entry.path] = (stat.st_ino, *(() if grows else (stat.st_size, stat.st_mtime_ns)))
    return found


# What is played.


@dataclass
class Play:
    """Two or three attempts, the first of whom began before the others; `before`: what had been there."""

    name: str
    actors: list[Who]
    before: list[Who] = field(default_factory=list)
    adopted: bool = False


PLAYS = [
    Play("restart", [Who(attempt=1), Who(attempt=2)]),
    Play("restart over a state", [Who(attempt=2), Who(attempt=3)], [Who(attempt=1, epochs=2)]),
    Play("new object", [Who(), Who("object-2", created=200.0)]),
    Play(
        "new object that resumes",
        [Who(attempt=2), Who("object-2", created=200.0, resume=True)],
        [Who(attempt=1, epochs=2)],
    ),
    Play("next run", [Who(run=1), Who(run=2)], adopted=True),
    Play("next run that resumes", [Who(run=1), Who(run=2, resume=True)], [Who(run=1, attempt=1)]),
    Play("finished before", [Who(), Who(attempt=2)], [Who(exit_code=0)]),
    Play(
        "objects that tell no time",
        [Who(attempt=2, tells_time=False), Who("object-2", created=200.0, tells_time=False)],
        [Who(tells_time=False)],
    ),
]
THREE = [
    Play("three attempts", [Who(attempt=n) for n in (1, 2, 3)]),
    Play(
        "three objects",
        [Who(), Who("object-2", created=200.0), Who("object-3", created=300.0, resume=True)],
        [Who("object-0", created=50.0, epochs=2)],
    ),
]


def begin(stage: Stage_, play: Play) -> list[Actor]:
    """The actors of a play, with what had been there before."""
    if play.adopted:
        stage.folder.weights.mkdir(parents=True)
        (stage.folder.weights / "last.pt").write_bytes(OLDER)
        stage.adopted = True
    for who in play.before:
        actor = stage.add(who)
        actor.exit_code = who.exit_code
        actor.advance()
        _must_end_well(actor)
    return [stage.add(who) for who in play.actors]


def count_steps(play: Play) -> list[int]:
    """How many steps each actor makes when nobody disturbs it."""
    counts = []
    for index in range(len(play.actors)):
        with stage() as one:
            actor = begin(one, play)[index]
            actor.advance()
            counts.append(actor.steps)
    return counts


def places_of_best(play: Play) -> list[list[int]]:
    """The steps of each actor, undisturbed, that have to do with a best.pt: few, and one may carry it over
    while the other replaces it.
    """
    places = []
    for index in range(len(play.actors)):
        with stage() as one:
            actor = begin(one, play)[index]
            actor.advance()
            places.append([number for number, step in enumerate(actor.trace) if "best.pt" in step])
    return places


def interleave(play: Play, schedule: Sequence[tuple[int, int | None]]) -> None:
    """Lets actors go on in turn: (who, up to which step); in the end all of them to their ends."""
    with stage() as one:
        actors = begin(one, play)
        for index, until in schedule:
            actors[index].advance(until)
        for actor in actors:
            actor.advance()
        conclude(one, actors)


def conclude(one: Stage_, actors: list[Actor]) -> None:
    """What must hold when all have ended."""
    one.look(actors[-1], "end", one.root)
    newest = max(actors, key=lambda a: a.who.rank)
    _must_end_well(newest)
    for actor in actors:
        if actor is not newest and not isinstance(actor.error, FencedError | None):
            raise BrokenError(f"{actor.who.token} ended with {actor.error!r}")
    if newest.finished_before and (newest.who.uid, newest.who.run) not in finished_runs(one):
        raise BrokenError(f"{newest.who.token} took another's end for its own")
    if not newest.finished_before:
        _check_published(one, newest)
        if all(a.last_step <= newest.save_began for a in actors if a is not newest):
            # Else its next save frees what an older one has left since.
            _check_space(one, newest)


def fail_at(play: Play, step: int, fault: Fault) -> None:
    """One fault in the first actor, at one step; then the next one, whom nothing disturbs."""
    with stage() as one:
        first, then = begin(one, play)[:2]
        first._faults = {step: fault}
        first.advance()
        if fault.number is not None and not isinstance(first.error, TrainerError | None):
            raise BrokenError(f"a failing volume came out as {first.error!r}")
        if isinstance(first.error, FencedError):
            raise BrokenError(f"a failing volume was taken for a newer attempt: {first.error}")
        if fault == FAULTS["moment"] and first.error is not None and first.trace[step].split()[0] in _READS:
            raise BrokenError(f"one failed read ended an attempt at {first.trace[step]}: {first.error!r}")
        may_go_on = then.who.resume or (then.who.uid, then.who.run) == (first.who.uid, first.who.run)
        best = max((found[-1] for found in whole_states(one)), default=0) if may_go_on else 0
        then.advance()
        conclude(one, [then])
        if not then.finished_before and then.started_at != best:
            raise BrokenError(f"a state of epoch {best} was there, and {then.started_at} was started from")


def tear(play: Play) -> None:
    """The newest state is damaged between two attempts: the one before it counts."""
    with stage() as one:
        first, then = begin(one, play)[:2]
        first.who.epochs, first.exit_code = 3, 143
        first.advance()
        state = Path(first.folder, "state.pt")
        state.write_bytes(state.read_bytes()[:-1])
        one._newest = ()
        best = max(found[-1] for found in whole_states(one))
        then.advance()
        conclude(one, [then])
        if then.started_at != best:
            raise BrokenError(
                f"a whole state of epoch {best} was there, and {then.started_at} was started from"
            )


def queue_up() -> None:
    """Many attempts one after another take no more room than one."""
    with stage() as one:
        begin(one, Play("a long line", [], [Who(attempt=n + 1) for n in range(12)]))
        conclude(one, one.actors)
        if len(list(one.folder.claims.iterdir())) > 3:
            raise BrokenError("claims are kept for ever")


_READS = frozenset({"list", "read", "stat"})


def _must_end_well(actor: Actor) -> None:
    if actor.error is not None:
        raise BrokenError(f"{actor.who.token} must get in and end well: {actor.error!r}") from actor.error


def _check_published(one: Stage_, newest: Actor) -> None:
    folder, attempt = one.folder, one.folder.attempt(newest.who.token)
    for name in ("weights/last.pt", "weights/best.pt", "results.csv"):
        if (folder.train / name).read_bytes() != (attempt / name).read_bytes():
            raise BrokenError(f"{name} is not the newest attempt's")
        if (folder.train / name).is_symlink():
            raise BrokenError(f"{name} is a link, which `kubectl cp` leaves out")
    adopted = folder.attempts / "adopted/weights/last.pt"
    if one.adopted and adopted.read_bytes() != OLDER:
        raise BrokenError("what an older server left is lost")
    rows = [row.split(",")[0] for row in (folder.train / "results.csv").read_text().splitlines()]
    if rows != [str(n + 1) for n in range(len(rows))]:
        raise BrokenError(f"results.csv has the epochs {rows}")
    if not folder.std_log.read_text().endswith((attempt / "logs/train_std.log").read_text()):
        raise BrokenError("the published log is not the newest attempt's")


def _check_space(one: Stage_, newest: Actor) -> None:
    folder = one.folder
    for path in folder.attempts.iterdir():
        if path.name in {newest.who.token, "adopted"}:
            continue
        note = json.loads((path / "attempt.json").read_text()) if (path / "attempt.json").exists() else None
        same_run = note is None or (note["uid"], note["run"]) == (newest.who.uid, newest.who.run)
        allowed = set() if same_run else {"best.pt", "best.pt.sha256"}
        left = {p.name for p in [*path.glob("state*"), *path.glob("weights/*"), *path.glob(".tmp-*")]}
        if not left <= allowed:
            raise BrokenError(f"{path.name} still holds {sorted(left - allowed)}")
    for uid, run in {(a.who.uid, a.who.run) for a in one.actors if a.saves} - {
        (newest.who.uid, newest.who.run)
    }:
        if not any(folder.attempts.glob(f"{uid[:8]}-r{run}a*/weights/best.pt")):
            raise BrokenError(f"no best.pt is left of run {run} of {uid}")
    licences = [*folder.train.glob(".publish/*"), *folder.info.glob(".publish/*")]
    if licences and len(licences) > 2:
        raise BrokenError(f"licences are left: {licences}")


QUICK, SAMPLE, ALL = range(3)
"""How much is played: with the unit tests, in `make test`, by `make faults-runfolder`."""
_PARTS = {QUICK: (3, 12, 8, 25), SAMPLE: (1, 6, 20, 60), ALL: (1, 1, 1 << 30, 5_000)}
"""By how much: of deaths and overtakings one in so many, of other faults, pairs, plays of three."""


def sample(seed: int, level: int) -> Iterator[tuple[str, Callable[[], None]]]:
    """What is played, with a name: one death and one overtaking at every step, other faults, two overtakings
    and three actors at seeded places; by `level` a part of it.
    """
    dice = random.Random(seed)
    every, of_faults, pairs_most, threes = _PARTS[level]
    yield "a long line", queue_up
    for play in (PLAYS[0], PLAYS[3]):
        yield f"{play.name}: torn", partial(tear, copy.deepcopy(play))
    for play in PLAYS:
        first, second = count_steps(play)
        for kind, fault in FAULTS.items():
            for step in dice.sample(range(first), first // (every if kind == "death" else of_faults)):
                yield f"{play.name}: {kind} at {step}", partial(fail_at, play, step, fault)
        overtaken = range(first + 1)
        pairs = list(itertools.product(range(first), range(second)))
        about_best = list(itertools.product(*places_of_best(play)))
        schedules = [
            *(
                [(0, i), (1, j), (0, None)]
                for i, j in dice.sample(about_best, min(5 * pairs_most, len(about_best)))
            ),
            *([(0, i), (1, None)] for i in dice.sample(overtaken, len(overtaken) // every)),
            *([(0, i), (1, j), (0, None)] for i, j in dice.sample(pairs, min(pairs_most, len(pairs)))),
        ]
        for schedule in schedules:
            yield f"{play.name}: {schedule}", partial(interleave, play, schedule)
    for play in THREE:
        counts = count_steps(play)
        for _ in range(threes):
            turns = [dice.randrange(3) for _ in range(dice.randrange(2, 7))]
            places = [(who, dice.randrange(counts[who])) for who in turns]
            yield f"{play.name}: {places}", partial(interleave, play, places)


def run(seed: int, level: int, *, part: int = 0, parts: int = 1, stop: bool = False) -> tuple[int, list[str]]:
    """Plays one of `parts` of it; how many, and what is broken. With `stop` in any order, up to the first."""
    plays = list(sample(seed, level))[part::parts]
    if stop:
        random.Random(seed).shuffle(plays)
    broken: list[str] = []
    for number, (name, play) in enumerate(plays):
        try:
            play()
        except BrokenError as error:
            broken.append(f"{name}: {error}")
            if stop:
                return number + 1, broken
    return len(plays), broken


def main() -> int:
    """1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--level", type=int, default=SAMPLE, help="0 quick, 1 what `make test` plays, 2 all")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--part", type=int, default=0, help="which of --parts, from 0")
    parser.add_argument("--parts", type=int, default=1, help="for several programs side by side")
    parser.add_argument("--stop", action="store_true", help="end at the first broken promise")
    options = parser.parse_args()
    began = time.monotonic()
    count, broken = run(
        options.seed, options.level, part=options.part, parts=options.parts, stop=options.stop
    )
    print("\n".join(broken[:20]))
    print(f"{count} plays with seed {options.seed} in {time.monotonic() - began:.0f} s, {len(broken)} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
