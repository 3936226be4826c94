"""Files that came over the network and stay on the data volume, each in a folder with what is known of it.

note.json       which file it is, where it came from, its version, and when the server last confirmed it
download.part   a download on its way
lock            held by who downloads
"""

from __future__ import annotations

import fcntl
import filecmp
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ..data.usage import mark_used
from ..errors import volume_errors
from ..volume import TEMPORARY_PREFIX, write_atomic
from .part import Part, Version, move

_NOTE = "note.json"


@dataclass(frozen=True)
class Kept:
    """A whole file, as a server sent it."""

    path: Path
    origin: str
    """URL without its query."""
    version: Version
    confirmed: float
    """When the server last had it so; Unix seconds."""

    @property
    def age(self) -> str:
        """How long ago that was, for people."""
        seconds = max(0.0, time.time() - self.confirmed)
        for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
            if seconds >= length:
                count = int(seconds // length)
                return f"{count} {unit}{'s' if count > 1 else ''}"
        return "less than a minute"


class Slot:
    """The folder of one such file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def kept(self) -> Kept | None:
        """The file that is there; None when there is none, or when it is not the one of the note."""
        try:
            note = json.loads((self.folder / _NOTE).read_bytes())
            path = self.folder / note["name"]
            if path.parent != self.folder or path.stat().st_size != note["bytes"]:
                return None
            version = Version(note["etag"], note["modified"])
            return Kept(path, str(note["origin"]), version, float(note["confirmed"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @contextmanager
    def download(self, wait: Callable[[], None]) -> Iterator[Part]:
        """A part to download into, for one process at a time; `wait` is called while another has it."""
        lock = self.folder / "lock"
        with volume_errors(lock, "write"):
            self.folder.mkdir(parents=True, exist_ok=True)
            mark_used(self.folder)  # before anything in it is looked at: `data.usage` says why
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o664)
        try:
            alone = _lock(descriptor, wait)
            path = self.folder / "download.part"
            if not alone:  # a part of its own, which nobody can go on with
                path = path.with_name(f"{TEMPORARY_PREFIX}{path.name}-{secrets.token_hex(4)}")
            with Part(path, kept=alone) as part:
                yield part
        finally:
            os.close(descriptor)

    def keep(self, part: Part, name: str, origin: str) -> Path:
        """Puts a whole download in its place; the same bytes again leave the file that is there as it is."""
        target = self.folder / name
        before = self.kept()
        with volume_errors(target, "compare"):
            is_same = before is not None and before.path == target and filecmp.cmp(part.read(), target, False)
        version = part.version
        if is_same:
            part.discard()
        else:
            move(part.finish(), target)
        self._note(Kept(target, origin, version, time.time()))
        return target

    def confirm(self, kept: Kept) -> Path:
        """The server still has the file so."""
        self._note(Kept(kept.path, kept.origin, kept.version, time.time()))
        return kept.path

    def _note(self, kept: Kept) -> None:
        with volume_errors(kept.path, "read"):
            size = kept.path.stat().st_size
        note = {
            "name": kept.path.name,
            "origin": kept.origin,
            "bytes": size,
            "confirmed": kept.confirmed,
            **asdict(kept.version),
        }
        write_atomic(self.folder / _NOTE, json.dumps(note, indent=1))


def _lock(descriptor: int, wait: Callable[[], None]) -> bool:
    """Takes a lock that ends with the process; False on a file system that has no locks."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            wait()
        except OSError:
            return False
        else:
            return True
