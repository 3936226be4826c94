"""A model that an earlier training left in its run folder (`model: run:<model name>/best`).

That folder is another training's, which may change it at any time, and has written it: nothing there is
trusted. What is found is copied, and looked at as a copy.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from yolo_crds.layout import RunFolder
from yolo_crds.models import EarlierRun
from yolo_crds.schema import nearest
from yolo_crds.training import Template

from ..errors import InvalidArgumentsError, WeightsMissingError, from_os_error, volume_errors
from ..runfolder import files
from .checkpoint_facts import Facts
from .checkpoints import check_checkpoint

MOST_BYTES = 16 << 30
"""No checkpoint is so large: the largest of Ultralytics takes 0.5 GB with its optimizer."""
_NO_FILE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO})
"""What open(2) says of a name that leads to no file; ENXIO of a socket."""
_SHOWN = 3


def copy_earlier(run: EarlierRun, runs: Path, target: Path) -> None:
    """Copies the run's checkpoint from the run volume at `runs` to `target`, which others do not know yet.

    Raises WeightsMissingError when there is none, InvalidArgumentsError and LegacyCheckpointError for a file
    that cannot be trained on.
    """
    folder = RunFolder(run.model_name, runs)
    source = folder.weights / run.file
    stream = _open(source, folder.train)
    if stream is None:
        raise _missing(run, folder)
    with volume_errors(source, "read"), stream, files.writing(target) as sink:
        left = MOST_BYTES
        while piece := stream.read(1 << 20):
            left -= len(piece)
            if left < 0:
                raise InvalidArgumentsError(f"template.model: {run} has over {MOST_BYTES >> 30} GiB")
            sink.write(piece)
    try:
        check_checkpoint(target)
    except InvalidArgumentsError as error:
        raise error.reworded(lambda text: text.replace(str(target), f"template.model: {run}")) from error


def _open(path: Path, folder: Path) -> BinaryIO | None:
    """The regular file at `path`, opened; None when there is none in the folder itself, links followed.

    It is looked at what was opened: a name may change meanwhile, and a FIFO's reader would wait for ever.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise from_os_error(error, path, "read") from error
    file = os.fdopen(descriptor, "rb") if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    if file is None:
        os.close(descriptor)
        return None
    parent = folder.parent.resolve()
    if Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(parent / folder.name):
        return file
    file.close()
    return None


def _missing(run: EarlierRun, folder: RunFolder) -> WeightsMissingError:
    known = [name for name in files.names(folder.train.parent) if not name.startswith(".")]
    if run.model_name not in known:
        like = nearest(run.model_name, known)
        advice = f"; did you mean run:{like}/{run.file.removesuffix('.pt')}?" if like else ""
        return WeightsMissingError(
            f"template.model: there is no run {run.model_name!r} on the run volume{advice}",
            "name a training of this namespace by its model name, as run:<model name>/best",
        )
    there = [name for name in ("best.pt", "last.pt") if name in files.names(folder.weights)]
    other = f"; it has {there[0]}" if there and there[0] != run.file else ""
    return WeightsMissingError(
        f"template.model: run {run.model_name!r} has no {run.file}{other}",
        "a training has checkpoints from the end of its first epoch on; wait for it, or name another one",
    )


def check_task(run: EarlierRun, facts: Facts, template: Template) -> None:
    """Raises InvalidArgumentsError for a task that the run's model is not made for."""
    if template.task and facts.task and template.task != facts.task:
        raise InvalidArgumentsError(
            f"template.task: {run} is a model for {facts.task!r}, not for {template.task!r}",
            f"leave task out, or name a model for {template.task!r}",
        )


def tell_differences(
    run: EarlierRun, facts: Facts, classes: Sequence[str], imgsz: int, channels: int, *, by_name: bool
) -> list[str]:
    """What a person should know who goes on from that model with these classes, image size and channels.

    `by_name`: Ultralytics lets a class go on as the one of the same name, case and blanks around it aside
    (argument `cls_remap`; not for classification).
    """
    told = []
    if facts.names is not None and [*facts.names] != [*classes]:
        told.append(_tell_classes(run, facts.names, classes, by_name=by_name))
    if facts.imgsz is not None and facts.imgsz != imgsz:
        told.append(f"{run} was trained with imgsz {facts.imgsz}, this training has {imgsz}")
    if facts.channels is not None and facts.channels != channels:
        told.append(
            f"{run} reads images of {_count(facts.channels, 'channel')}, the data has "
            f"{_count(channels, 'channel')}: its first layer is fitted to them"
        )
    return told


def _tell_classes(run: EarlierRun, before: Sequence[str], now: Sequence[str], *, by_name: bool) -> str:
    known = {_plain(name) for name in before}
    goes_on = [name for name in now if _plain(name) in known]
    if by_name and goes_on:
        if len(goes_on) == len(now) == len(before):
            return f"{run} has the same classes in another order or spelling; each goes on by its name"
        new = [name for name in now if _plain(name) not in known]
        gone = [name for name in before if _plain(name) not in {_plain(name) for name in now}]
        return (
            f"{run} has {_count(len(before), 'class')}, the data {len(now)}: "
            f"{_listed(goes_on)} {'goes' if len(goes_on) == 1 else 'go'} on by name"
            + (f", {_listed(new)} {'is' if len(new) == 1 else 'are'} learnt anew" if new else "")
            + (f", {_listed(gone)} {'is' if len(gone) == 1 else 'are'} given up" if gone else "")
        )
    if len(before) != len(now):
        return (
            f"{run} has {_count(len(before), 'class')} ({_listed(before)}), the data {len(now)} "
            f"({_listed(now)}): all of them are learnt anew on what it knows of images"
        )
    others = [
        f"{i} was {was!r} and is {name!r} now"
        for i, (was, name) in enumerate(zip(before, now, strict=True))
        if was != name
    ]
    more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
    return (
        f"{run} has as many classes of other names or in another order: {', '.join(others[:_SHOWN])}{more}; "
        "what it knows of one counts for the other at first"
    )


def _plain(name: str) -> str:
    return name.strip().lower()


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(name) for name in names[:_SHOWN]) + more


def _count(number: int, what: str) -> str:
    plural = f"{what}es" if what.endswith("s") else f"{what}s"
    return f"{number} {what if number == 1 else plural}"
