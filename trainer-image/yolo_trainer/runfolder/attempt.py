"""One attempt at a run: what it may do with the run folder. The verbs are the only way to touch `train/<m>`.

    claim(config)      prepare: takes the folder, from an older attempt or object too
    rejoin(config)     train's supervisor: as join, and of two that run the same attempt the later one has it
    join(config, n)    the stages: the attempt that has it, by its supervisor's claim n; never takes over
    follow(config)     the other pods of a training on several nodes: they read what is theirs to read
    attempt.finished   this run had come to its end before; nothing is trained twice
    attempt.start()    the newest whole state of any attempt, else a last.pt, else nothing
    attempt.save(...)  guard, state, guard again, retire older attempts, checkpoints, publish
    attempt.finish(…)  how the stage ended

Files, below `train/<m>`; `A` is `.attempts/<token>`, `+` means with a `.sha256` beside:

| file | written by, when | deleted by |
|---|---|---|
| `.claims/<number>` | each supervisor, at its start | the third newer claim |
| `.publish/<number>-<token>-*/`, in `train_info/<m>` too | who publishes | a newer claim, or itself |
| `.attempts/adopted/…` | the first claim: what stood at the old paths | nobody |
| `A/attempt.json` | prepare, at its claim | nobody |
| `A/prepare.json` | prepare, at its end | nobody |
| `A/initial.pt`+ | prepare, where the model is one of an earlier run | a newer attempt that has a state |
| `A/result.json` | supervisor, at each end, or prepare if nothing is left; a finished one stays | nobody |
| `A/logs/*.log` | supervisor, each line | nobody |
| `A/state.pt`+, `state.prev.pt`+ | train's rank 0, each save, first | a newer attempt that has a state |
| `A/weights/*.pt`+ | train's rank 0, each save, then | the same, but other runs' best.pt |
| `A/results.csv`, `args.yaml`, plots | Ultralytics, each epoch and at the end | nobody |
| `weights/*.pt`, `results.csv`, `args.yaml`, plots, `train_info/<m>/…` | the newest claim | nobody |

All of `train/<m>` goes when a person clears it; that is the façade's, by one rename.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from yolo_crds.layout import RunFolder
from yolo_crds.meta import Stage, attempt_token
from yolo_crds.status import Weight, Weights
from yolo_crds.trainer import Prepared, Result, TrainerConfig

from ..errors import FencedError, volume_errors
from . import attempts, checkpoint, claims, files, logs, retire
from .adoption import adopt
from .attempts import Note, Start
from .checkpoint import BEST, INITIAL, LAST, WEIGHTS
from .claims import Claim
from .files import Sink
from .publish import Licence

CLAIM_ENV = "YOLO_TRAINER_CLAIM"
"""Environment variable by which a supervisor tells its worker the number of its claim."""
_COPIED = ("results.csv", "args.yaml")
_PLOTS = (".png", ".jpg")
_EVENTS = "events.out.tfevents."


def claim(config: TrainerConfig) -> Attempt:
    """Takes the run folder for the attempt of `config`; from then on no older one publishes anything.

    Raises FencedError when a newer attempt of the same object, or a later object, has it, DiskFullError,
    VolumeFailedError.
    """
    folder = _folder(config)
    with volume_errors(folder.train, "claim"):
        for path in (folder.train, folder.logs):
            files.make_folder(path)
        adopt(folder)
        attempt = Attempt(config, claims.make(folder, Claim.of(config)))
    attempt.note_down(resume=config.resume)
    with volume_errors(folder.train, "claim"):
        attempt.licence.revoke_older()
    attempt.guard()
    return attempt


def rejoin(config: TrainerConfig) -> Attempt:
    """As `join`, for a program that starts: another one that is still at the same attempt stops."""
    join(config)
    folder = _folder(config)
    with volume_errors(folder.train, "claim"):
        attempt = Attempt(config, claims.make(folder, Claim.of(config)))
        attempt.licence.revoke_older()
    attempt.guard()
    return attempt


def join(config: TrainerConfig, number: int = 0) -> Attempt:
    """The attempt of `config`, if the folder is its, by the claim `number` if one is given.

    Raises FencedError when it is not.
    """
    folder = _folder(config)
    with volume_errors(folder.train, "read"):
        return Attempt(config, claims.check(folder, replace(Claim.of(config), number=number)))


def follow(config: TrainerConfig) -> Attempt:
    """The attempt of `config` for a pod that only reads, as another one has the folder for it.

    Whose the folder is, it does not ask: a network volume may show it an older list of claims.
    """
    return Attempt(config, Claim.of(config))


class Attempt:
    """The attempt that had the folder when this was made; each verb looks again. See the module."""

    def __init__(self, config: TrainerConfig, mine: Claim) -> None:
        self.folder = _folder(config)
        self.token = attempt_token(config.uid, config.run, config.attempt)
        self.path = self.folder.attempt(self.token)
        self.claim = mine
        self.licence = Licence(self.folder, self.token, mine.number, self.guard)
        self._resume = config.resume
        self._state_is_whole: bool | None = None

    @property
    def finished(self) -> Result | None:
        """The result of the attempt that trained this run to its end, if there is one."""
        with volume_errors(self.folder.train, "read"):
            return attempts.find_finished(self.folder, self.claim.uid, self.claim.run)

    def guard(self) -> None:
        """Raises FencedError when a newer attempt has taken the folder."""
        with volume_errors(self.folder.claims, "read"):
            claims.check(self.folder, self.claim)

    @contextlib.contextmanager
    def _writing(self, path: Path, doing: str = "write") -> Iterator[None]:
        """As `volume_errors`; but files of an overtaken attempt may just be gone, and then that is said."""
        with volume_errors(path, doing):
            try:
                yield
            except FileNotFoundError:
                claims.check(self.folder, self.claim)
                raise

    def note_down(self, *, resume: bool) -> None:
        """Makes the attempt's folder and says there whose it is; what was said before stays."""
        with self._writing(self.path):
            for path in (self.folder.attempts, self.path):
                files.make_one_folder(path)
            before = attempts.read_note(self.path)
            if before is None or before.claim != self.claim.number:
                note = self._describe(resume=resume)
                files.write(self.path / attempts.NOTE, note.to_json())

    def _describe(self, *, resume: bool) -> Note:
        mine = Note(self.claim.number, self.claim.run, self.claim.attempt, self.claim.uid, self.path)
        older = [note for note in attempts.read_notes(self.folder) if note < mine and note.path != self.path]
        own = [note for note in older if note.is_of_run(mine.uid, mine.run)]
        before_me = own or (older if resume else [])
        after = before_me[-1].path.name if before_me else None
        return replace(mine, after=after)

    def start(self) -> Start:
        """Where this attempt starts; close it. Raises LegacyCheckpointError, VolumeFailedError."""
        with volume_errors(self.folder.train, "read"):
            return attempts.find_start(self.folder, self.claim.uid, self.claim.run, resume=self._resume)

    def carry_best(self, start: Start) -> None:
        """Brings the best.pt of the attempt that is gone on from; this one may find no better one."""
        if start.attempt is not None and start.attempt != self.path:
            with self._writing(self.path):
                checkpoint.carry_over(start.attempt / WEIGHTS / BEST, self.path / WEIGHTS / BEST)

    def find_weights(self, start: Start) -> Path | None:
        """A whole checkpoint of the attempt that is gone on from, by which the model can be built."""
        if start.attempt is None:
            return None
        with volume_errors(start.attempt, "read"):
            paths = [start.attempt / WEIGHTS / name for name in (LAST, BEST)]
            return next(filter(checkpoint.is_whole, paths), None)

    def keep_initial(self, fetch: Callable[[Path], object]) -> Path:
        """The checkpoint that the training started from, kept in this attempt's folder: whatever becomes of
        its source, all attempts start from the same. `fetch` writes it to a path if no attempt of this object
        that is gone on from has it: an object's model never changes.
        """
        place = self.path / INITIAL
        with self._writing(place):
            if checkpoint.is_whole(place):
                return place
            checkpoint.drop(place)
            for note in reversed(attempts.read_notes(self.folder)):
                same_run = self._resume or note.run == self.claim.run
                if same_run and note.is_of_run(self.claim.uid, note.run):
                    checkpoint.carry_over(note.path / INITIAL, place)
            if files.status(place) is not None:
                return place
            temporary = files.aside(place)
            try:
                fetch(temporary)
                checkpoint.promote(temporary, place)
            finally:
                files.remove(temporary)
        return place

    def save_state(self, write: Callable[[Sink], object]) -> None:
        """Saves the state alone, as amid an epoch; the one before stays until this one is whole. Then older
        attempts have nothing more to give, and are freed.

        Raises FencedError, DiskFullError, VolumeFailedError.
        """

        def write_and_look(sink: Sink) -> None:
            write(sink)
            self.guard()  # that took its time, and another program at this attempt writes to the same place

        self.guard()
        with self._writing(self.path):
            if self._state_is_whole is None:
                checkpoint.drop_unfinished(self.path)
                self._state_is_whole = checkpoint.is_whole(self.path / checkpoint.STATE)
            checkpoint.write_state(self.path, write_and_look, keep=self._state_is_whole)
            self._state_is_whole = True
            self.retire_older()

    def save(self, write: Callable[[Sink], object] | None, staging: Path | None = None) -> None:
        """Saves the state that `write` writes, then the checkpoints of `staging`, and publishes.

        The order is the promise: a last.pt is never newer than the newest whole state, and nothing of an
        older attempt goes before this one has a whole state and is still the one that has the folder.
        """
        if write is not None:
            self.save_state(write)
        else:
            self.guard()
        with self._writing(self.path):
            for name in files.names(staging) if staging else ():
                if name.endswith(".pt") and staging:
                    checkpoint.promote(staging / name, self.path / WEIGHTS / name)
            self.publish()

    def retire_older(self) -> None:
        """Frees what older attempts hold; raises FencedError instead when this one was overtaken."""
        notes = attempts.read_notes(self.folder)
        self.guard()
        retire.retire_older(self._mine(notes), notes)

    def publish(self, *, plots: bool = False) -> None:
        """Shows weights, results.csv and args.yaml as far as there are any; plots at the end."""
        with self._writing(self.folder.train, "publish"):
            for name in files.names(self.path / WEIGHTS):
                if name.endswith(".pt"):
                    self.licence.publish(self.path / WEIGHTS / name, self.folder.weights / name, link=True)
            for name in files.names(self.path):
                if name in _COPIED or (plots and (name.endswith(_PLOTS) or name.startswith(_EVENTS))):
                    self.licence.publish(self.path / name, self.folder.train / name)

    def publish_info(self, name: str, content: bytes | Path) -> None:
        """Shows a text, or a copy of a file, as `train_info/<m>/<name>`."""
        place = self.folder.info / name
        with self._writing(place, "publish"):
            if isinstance(content, Path):
                self.licence.publish(content, place)
            else:
                self.licence.put(place, lambda aside: files.fill(aside, content))

    def open_logs(self) -> dict[str, logs.Log]:
        """The logs to append to, by stream `out` and `err`; the published ones are made anew."""
        with self._writing(self.folder.logs):
            notes = attempts.read_notes(self.folder)
            chain = attempts.log_chain(self._mine(notes), notes)
            return logs.open_logs(self.folder, chain, self.licence)

    def _mine(self, notes: Iterable[Note]) -> Note:
        for note in notes:
            if note.path == self.path:
                return note
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))

    def hand_over(self, prepared: Prepared) -> None:
        """Leaves what train needs; raises FencedError when this attempt was overtaken."""
        self.guard()
        with self._writing(self.path):
            files.write(self.folder.prepared(self.token), json.dumps(prepared.to_wire(), indent=1).encode())

    @property
    def prepared(self) -> Prepared | None:
        """What the prepare stage left for this attempt; None when it did not end well."""
        with volume_errors(self.path, "read"):
            content = files.read(self.folder.prepared(self.token))
        try:
            return Prepared.model_validate_json(content) if content else None
        except ValueError:
            return None

    def finish(self, result: Result) -> None:
        """Stores how a stage ended; that this attempt's training came to its end is never written over.

        What a training was killed before it could publish is published now: there may be no next attempt.
        """
        path = self.folder.result(self.token)
        with self._writing(path):
            before = attempts.read_result(path)
            if before is None or not attempts.has_finished(before) or attempts.has_finished(result):
                files.write(path, json.dumps(result.to_wire(), indent=1).encode())
        try:
            if result.stage is Stage.TRAIN:
                with contextlib.suppress(FencedError):  # who has the folder now publishes
                    self.publish()
        finally:
            self.leave()

    def leave(self) -> None:
        """Ends this process's part: it publishes no more."""
        with volume_errors(self.folder.train, "leave"):
            self.licence.end()

    def weights(self) -> Weights | None:
        """Size and sha256 of the attempt's checkpoints, under their published paths; None without any."""
        found: dict[str, Weight] = {}
        for key, name in (("best", BEST), ("last", LAST)):
            file = self.path / WEIGHTS / name
            digest, status = checkpoint.find_digest(file), files.status(file)
            if digest and status:
                path = (self.folder.weights / name).relative_to(self.folder.root)
                found[key] = Weight(path=str(path), size=status.st_size, sha256=digest)
        return Weights(best=found.get("best"), last=found.get("last")) if found else None


def _folder(config: TrainerConfig) -> RunFolder:
    return RunFolder(config.model_name, Path(config.runs_dir))
