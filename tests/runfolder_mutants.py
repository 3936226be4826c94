"""Seeded faults in the run folder's code: each must be found by `runfolder_harness`.

`python -m runfolder_mutants [NAME …]` tries all, or the named ones, each in a copy of the trainer's code; the
exit code is 1 when one survives. A mutant whose text is no longer there is an error: adapt it with the code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
CODE = ROOT / "trainer-image" / "yolo_trainer"


@dataclass(frozen=True)
class Mutant:
    """One fault: in a file of `runfolder/`, a text and what stands for it."""

    name: str
    file: str
    text: str
    instead: str


def _m(name: str, file: str, text: str, instead: str) -> Mutant:
    return Mutant(name, f"{file}.py", text, instead)


MUTANTS = [
    _m("a read is not tried again", "files", "for wait in WAITS:", "for wait in ():"),
    _m("claims overwrite each other", "files", "os.O_CREAT | os.O_EXCL", "os.O_CREAT | os.O_TRUNC"),
    _m(
        "small files are written in place",
        "files",
        "            sink.write(content)\n        rename(temporary, path)",
        "            pass\n        fill(path, content)",
    ),
    _m(
        "a checkpoint is used unseen",
        "checkpoint",
        "whole = files.digest(stream) in wanted",
        "whole = files.digest(stream) != ''",
    ),
    _m(
        "the previous state's digest comes late",
        "checkpoint",
        "        _note_digest(previous, digest)\n        files.rename(state, previous)",
        "        files.rename(state, previous)\n        _note_digest(previous, digest)",
    ),
    _m("no previous state is kept", "checkpoint", "        files.rename(state, previous)\n", ""),
    _m(
        "the new digest overwrites the old state's",
        "checkpoint",
        "    digest = read_digest(state)\n",
        "    digest = read_digest(state)\n    _note_digest(state, sink.digest)\n",
    ),
    _m(
        "a checkpoint's digest goes before it is replaced",
        "checkpoint",
        "_note_digest(place, digest, *before)",
        "_note_digest(place, digest)",
    ),
    _m(
        "the best is not carried over",
        "checkpoint",
        "    if not before or files.status(source) is None or files.status(target) is not None:",
        "    if True:",
    ),
    _m(
        "what is carried over has the digest of what was there before",
        "checkpoint",
        "        _note_digest(target, digest)\n        copies.link_or_copy(aside, target)",
        "        _note_digest(target, *before)\n        copies.link_or_copy(source, target)",
    ),
    _m(
        "what is carried over is not known while it is replaced",
        "checkpoint",
        "if digest in {*before, *_digests(source)}:",
        "if digest in before:",
    ),
    _m(
        "runs do not count in a claim",
        "claims",
        "(self.run, self.attempt) > (last.run, last.attempt)",
        "self.attempt > last.attempt",
    ),
    _m(
        "attempts do not count in a claim",
        "claims",
        "(self.run, self.attempt) > (last.run, last.attempt)",
        "self.run >= last.run",
    ),
    _m("earlier objects come back", "claims", "if self.uid in last.past:", "if False:"),
    _m("earlier objects are forgotten", "claims", "(*last.past, last.uid)", "(*last.past,)"),
    _m(
        "the earlier object wins",
        "claims",
        "self.created > last.created - CLOCKS_AGREE",
        "self.created < last.created",
    ),
    _m("who comes second does not look again", "claims", "not (me.may_follow(last)", "(False"),
    _m("the oldest claim counts", "claims", "sorted(numbers, reverse=True)", "sorted(numbers)"),
    _m(
        "any attempt of the object passes the guard",
        "claims",
        "if last is not None and last.is_of(me) and me.number in {0, last.number}:",
        "if last is not None and last.uid == me.uid:",
    ),
    _m("the own claim is dropped", "claims", "number <= mine.number - _KEPT", "number <= mine.number"),
    _m("claims are never dropped", "claims", "number <= mine.number - _KEPT", "number < 0"),
    _m("licences stay", "publish", "and int(number) < self._claim", "and False"),
    _m(
        "a licence is granted unseen",
        "publish",
        "            self._check()\n        except",
        "            pass\n        except",
    ),
    _m(
        "first the look, then the licence",
        "publish",
        "files.make_folder(base / PUBLISHING / self._name)\n        try:\n            self._check()",
        "folder = base / PUBLISHING / self._name\n"
        "        try:\n            self._check()\n            files.make_folder(folder)",
    ),
    _m(
        "a lost licence is made again",
        "publish",
        "            self._grant(base)  # says",
        "            files.make_folder(aside.parent)  # says",
    ),
    _m(
        "published past the licence",
        "publish",
        'aside = base / PUBLISHING / self._name / f"',
        'aside = place.parent / f".',
    ),
    _m("what is there is never replaced", "publish", "if os.path.samestat(have, want):", "if True:"),
    _m(
        "weights before the state",
        "attempt",
        "        if write is not None:\n            self.save_state(write)\n        else:",
        "        if write is None:",
    ),
    _m(
        "claims without taking licences away",
        "attempt",
        '    with volume_errors(folder.train, "claim"):\n        attempt.licence.revoke_older()\n',
        "",
    ),
    _m("what was here before is not kept", "attempt", "        adopt(folder)\n", ""),
    _m("a finished run is written over", "attempt", "if before is None or not", "if True or not"),
    _m("nothing is retired", "attempt", "        retire.retire_older(self._mine(notes), notes)\n", ""),
    _m(
        "older states go before there is a new one",
        "attempt",
        "            checkpoint.write_state(self.path",
        "            self.retire_older()\n            checkpoint.write_state(self.path",
    ),
    _m(
        "an attempt retires itself", "retire", "note for note in notes if note < me", "note for note in notes"
    ),
    _m("the previous state stays", "retire", "for name in STATES:", "for name in STATES[:1]:"),
    _m("other runs lose their best", "retire", "keep_best=note.path in kept.values()", "keep_best=False"),
    _m("weights of the same run stay", "retire", "note.is_of_run(me.uid, me.run) or", ""),
    _m(
        "another object's end counts",
        "attempts",
        "(result.uid, result.run) == (uid, run)",
        "result.run == run",
    ),
    _m(
        "the oldest state is gone on from",
        "attempts",
        "for note in reversed(read_notes(folder))",
        "for note in read_notes(folder)",
    ),
    _m("a fresh run goes on", "attempts", "if resume or note.is_of_run(uid, run)", "if True"),
    _m(
        "a bare last.pt before states",
        "attempts",
        '(STATES, (f"{WEIGHTS}/{LAST}",))',
        '((f"{WEIGHTS}/{LAST}",), STATES)',
    ),
    _m(
        "states of the newest attempt alone",
        "attempts",
        "        for note in notes:\n            for name in names",
        "        for note in notes[:1]:\n            for name in names",
    ),
    _m(
        "the published log is written in place",
        "logs",
        "licence.put(folder.logs / name, partial(log.show, parts))",
        "log.show(parts, folder.logs / name)",
    ),
]


def survives(mutant: Mutant) -> bool:
    """Whether the harness finds nothing; raises ValueError when the code no longer has the mutant's text."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder) / "yolo_trainer"
        shutil.copytree(CODE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        file = copy / "runfolder" / mutant.file
        code = file.read_text(encoding="utf-8")
        if code.count(mutant.text) != 1:
            raise ValueError(f"{mutant.name}: {mutant.file} has its text {code.count(mutant.text)} times")
        file.write_text(code.replace(mutant.text, mutant.instead), encoding="utf-8")
        path = os.pathsep.join([folder, str(ROOT / "crds"), str(ROOT / "tests")])
        command = [sys.executable, "-m", "runfolder_harness", "--stop"]
        found = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
        )
        if found.returncode not in {0, 1}:
            raise ValueError(f"{mutant.name}: the harness itself failed\n{found.stderr[-2000:]}")
        return found.returncode == 0


def main() -> int:
    """1 when a mutant survives."""
    chosen = [m for m in MUTANTS if not sys.argv[1:] or m.name in sys.argv[1:]]
    began = time.monotonic()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        alive = [m for m, lives in zip(chosen, pool.map(survives, chosen), strict=True) if lives]
    for mutant in alive:
        print(f"SURVIVES {mutant.file}: {mutant.name}")
    print(f"{len(chosen) - len(alive)} of {len(chosen)} found in {time.monotonic() - began:.0f} s")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
