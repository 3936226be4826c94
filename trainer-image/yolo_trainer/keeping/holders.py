"""Which attempts use which prepared sets, as `prepare.json` and `result.json` on the run volume tell."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from yolo_crds.layout import RunFolder
from yolo_crds.meta import Stage
from yolo_crds.trainer import ExitCode, Prepared, Result, parse_result

from ..errors import InvalidArgumentsError, VolumeFailedError, volume_errors
from ..runfolder import claims
from ..runfolder.claims import Claim


@dataclass(frozen=True)
class Use:
    """One attempt's use of a prepared set."""

    model: str
    run: int
    attempt: int
    holds: bool
    """It may train on the set yet: it has not ended, and no other attempt has its run folder."""
    last: float
    """When it was prepared or ended, Unix seconds."""

    def __str__(self) -> str:
        return f"{self.model} r{self.run}a{self.attempt}{' (not ended)' if self.holds else ''}"


def read_uses(runs: Path) -> dict[str, list[Use]]:
    """Uses by the set's hash, the newest last.

    Raises InvalidArgumentsError when there is no run volume at `runs`, VolumeFailedError when it cannot be
    read in full: what an unread file holds is not known.
    """
    if not (runs / "train").is_dir():
        raise InvalidArgumentsError(
            f"--runs-dir: {runs} is no run volume (it has no folder train), so it is not known which sets "
            "are used; mount it, or give --no-runs where no training uses any"
        )
    uses: dict[str, list[Use]] = {}
    with volume_errors(runs, "read"):
        for folder in _run_folders(runs):
            owner = claims.newest(folder)
            for path in sorted(folder.train.glob(".attempts/*/prepare.json")):
                if found := _read_use(folder, path, owner):
                    uses.setdefault(found[0], []).append(found[1])
    return {key: sorted(found, key=lambda use: use.last) for key, found in uses.items()}


def _run_folders(runs: Path) -> Iterator[RunFolder]:
    for entry in sorted(os.scandir(runs / "train"), key=lambda e: e.name):
        # A link may lead anywhere, and no run folder is one. Unlike glob, scandir tells what it may not read.
        if entry.is_dir(follow_symlinks=False):
            attempts = Path(entry.path, ".attempts")
            if attempts.is_dir():
                os.scandir(attempts).close()
            yield RunFolder(entry.name, runs)


def _read_use(folder: RunFolder, path: Path, owner: Claim | None) -> tuple[str, Use] | None:
    """The set's hash and its use; None when the run folder is just being removed."""
    try:
        text = path.read_text(encoding="utf-8")
        last = path.stat().st_mtime
    except FileNotFoundError:
        return None
    try:
        prepared = Prepared.model_validate_json(text)
    except ValueError as error:
        raise VolumeFailedError(
            f"{path} cannot be understood, so it is not known which set it uses"
        ) from error
    result_path = path.with_name("result.json")
    try:
        result = parse_result(result_path.read_text(encoding="utf-8", errors="replace"))
        last = max(last, result_path.stat().st_mtime)
    except FileNotFoundError:
        result = None
    me = Claim(prepared.uid, prepared.run, prepared.attempt)
    holds = not _has_ended(result) and (owner is None or owner.is_of(me))
    use = Use(folder.model_name, prepared.run, prepared.attempt, holds, last)
    return prepared.dataset.hash, use


def _has_ended(result: Result | None) -> bool:
    """Whether an attempt will not go on; an interrupted one may, when its queue lets it in again."""
    if result is None or result.exit_code == ExitCode.INTERRUPTED:
        return False
    return result.stage is Stage.TRAIN or result.exit_code != ExitCode.DONE or result.finished is not None
