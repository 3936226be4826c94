"""Where an attempt starts: a run that has ended already, the file to go on from."""

from __future__ import annotations

import re
from pathlib import Path

from yolo_crds.layout import RunFolder
from yolo_crds.meta import Stage
from yolo_crds.trainer import Prepared, Result, TrainerConfig, parse_result

from ..errors import LegacyCheckpointError, volume_errors
from .checkpoint import STATE, resumable

LAST = "weights/last.pt"

_TOKEN = re.compile(r"(?P<uid>.+)-r(?P<run>\d+)a(?P<attempt>\d+)\Z")


def find_finished(folder: RunFolder, config: TrainerConfig) -> Result | None:
    """The result of an attempt that trained this very run to its end; nothing is trained twice."""
    with volume_errors(folder.train, "read"):
        for path in sorted((folder.train / ".attempts").glob("*/result.json")):
            result = parse_result(path.read_text(encoding="utf-8", errors="replace"))
            if result is None or (result.uid, result.run) != (config.uid, config.run):
                continue
            if result.stage is Stage.TRAIN and result.exit_code == 0:
                return result
    return None


def find_resume(folder: RunFolder, uid: str, run: int | None = None) -> Path | None:
    """The attempt folder with the newest whole state: this training's highest attempt, else others' by age.

    With a `run` only this training's attempts at it count. None when there is none.
    Raises LegacyCheckpointError for a run folder of the older, YOLOv5-based server.
    """
    with volume_errors(folder.train, "read"):
        wanted = "*" if run is None else f"{uid[:8]}-r{run}a*"
        attempts = [p for p in (folder.train / ".attempts").glob(wanted) if p.is_dir()]
        for attempt in sorted(attempts, key=lambda p: _rank(p, uid), reverse=True):
            if resumable(attempt):
                return attempt
        is_legacy = (folder.train / "opt.yaml").is_file() and find_foreign_last(folder) is not None
    if is_legacy:
        raise LegacyCheckpointError(
            f"{folder.train} was trained by the YOLOv5 repository and cannot be resumed"
        )
    return None


def _rank(attempt: Path, uid: str) -> tuple[int, int, int, float]:
    token = _TOKEN.match(attempt.name)
    if token and token["uid"] == uid[:8]:
        return 1, int(token["run"]), int(token["attempt"]), 0.0
    files = (attempt / name for name in (STATE, LAST))
    return 0, 0, 0, max((file.stat().st_mtime for file in files if file.exists()), default=0.0)


def find_foreign_last(folder: RunFolder) -> Path | None:
    """A last.pt that no attempt of ours wrote: ours are links into `.attempts/`."""
    last = folder.train / LAST
    return last if last.is_file() and not last.is_symlink() else None


def find_start(attempt: Path, prepared: Prepared) -> Path | None:
    """The file to go on from: of this very attempt if it ran before (a queue may stop and start it)."""
    if own := resumable(attempt):
        return own
    return resumable(Path(prepared.resume_from)) if prepared.resume_from else None


def read_results(start: Path | None) -> str:
    """The results.csv beside the file to go on from; empty without one."""
    try:
        return start.with_name("results.csv").read_text(encoding="utf-8") if start else ""
    except OSError:
        return ""
