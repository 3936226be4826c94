"""The bytes of a download that have come so far, in a file that may outlive the process that wrote it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from ..errors import DiskFullError, TrainerError, volume_errors
from ..volume import fsync_folder, write_atomic

_SAVE_EVERY = 64 << 20  # bytes that a killed process loses at most


@dataclass(frozen=True)
class Version:
    """What a server calls the state of a file, by its headers (RFC 9110, 8.8)."""

    etag: str | None = None
    modified: str | None = None
    """`Last-Modified`, as it came."""

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Version:
        """The version that a response tells."""
        return cls(headers.get("ETag"), headers.get("Last-Modified"))

    @property
    def conditions(self) -> dict[str, str]:
        """Headers that ask for the file only if it is another version."""
        if self.etag:
            return {"If-None-Match": self.etag}
        return {"If-Modified-Since": self.modified} if self.modified else {}

    @property
    def if_range(self) -> str | None:
        """What asks for the rest of this very version; a weak ETag cannot."""
        if self.etag:
            return None if self.etag.startswith("W/") else self.etag
        return self.modified

    def contradicts(self, other: Version) -> bool:
        """Whether two versions cannot be the same; where one of them says nothing they can."""
        pairs = ((self.etag, other.etag), (self.modified, other.modified))
        return any(mine and theirs and mine != theirs for mine, theirs in pairs)


class Part:
    """A file that a download is written into.

    With `kept` a note beside it says how many bytes are safely on the disk and of which version; a later
    process goes on from there and trusts nothing beyond. Raises what `errors.volume_errors` raises.
    """

    def __init__(self, path: Path, *, kept: bool = False) -> None:
        self.path = path
        self.size = 0
        self.version = Version()
        self.origin = ""
        """URL that the bytes came from."""
        self._note = path.with_name(f"{path.name}.note") if kept else None
        self._saved = 0
        with volume_errors(path, "write"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("r+b" if path.exists() else "w+b")
            if self._note is not None:
                self._load(self._note)
            self._file.truncate(self.size)
            self._file.seek(self.size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Keeps what came for the next time; not on a full disk, where it would be in everybody's way."""
        if self._file.closed:
            return
        if self._note is None or isinstance(error, DiskFullError) or not self.version.if_range:
            self.discard()
            return
        try:
            self._save()
        except TrainerError:
            if error is None:
                raise
        self._file.close()

    def begin(self, origin: str) -> None:
        """What is there is of use only if it came from the same URL."""
        if origin != self.origin:
            self.restart(Version())
            self.origin = origin

    def restart(self, version: Version) -> None:
        """What comes next is the whole file in this version."""
        with volume_errors(self.path, "write"):
            self._file.seek(0)
            self._file.truncate()
            if self._note is not None:
                self._note.unlink(missing_ok=True)
        self.size = self._saved = 0
        self.version = version

    def write(self, chunk: bytes) -> None:
        """Appends bytes of the version."""
        with volume_errors(self.path, "write"):
            self._file.write(chunk)
        self.size += len(chunk)
        if self._note is not None and self.size - self._saved >= _SAVE_EVERY:
            self._save()

    def read(self) -> Path:
        """The file as it is, for a look at its content."""
        with volume_errors(self.path, "write"):
            self._file.flush()
        return self.path

    def finish(self) -> Path:
        """All has come and is on the disk; the file is its taker's from now on."""
        with volume_errors(self.path, "write"):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            if self._note is not None:
                self._note.unlink(missing_ok=True)
        return self.path

    def discard(self) -> None:
        """Removes the file."""
        self._file.close()
        for path in (self.path, self._note):
            if path is not None:
                path.unlink(missing_ok=True)

    def _load(self, note: Path) -> None:
        try:
            found = json.loads(note.read_bytes())
            size, version = int(found["bytes"]), Version(found["etag"], found["modified"])
            origin = str(found["origin"])
        except (OSError, ValueError, KeyError, TypeError):
            return
        if version.if_range and 0 < size <= self._file.seek(0, os.SEEK_END):
            self.size = self._saved = size
            self.version, self.origin = version, origin

    def _save(self) -> None:
        assert self._note is not None, "only a kept part has a note"
        with volume_errors(self.path, "write"):
            self._file.flush()
            os.fsync(self._file.fileno())
        note = {"origin": self.origin, "bytes": self.size, **asdict(self.version)}
        write_atomic(self._note, json.dumps(note))
        self._saved = self.size


def move(source: Path, target: Path) -> None:
    """Puts a finished file in its place, durably."""
    with volume_errors(target, "write"):
        source.replace(target)
        fsync_folder(target.parent)
