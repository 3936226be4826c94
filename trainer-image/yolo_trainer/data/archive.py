"""Unpack a zip or tar of a data set as if its author meant harm: nothing gets out, nothing explodes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import time
from pathlib import Path, PurePosixPath
from typing import IO

from ..errors import DiskFullError, InvalidDataError, volume_errors
from ..volume import TEMPORARY_PREFIX, fsync_folder, write_atomic
from .archive_entries import BROKEN, Entry, tar_entries, zip_entries
from .parallel import REPORT_SECONDS, Report
from .tree import UNTOLD, Tree
from .usage import make_to_use

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz")
MAX_ENTRIES = 4_000_000
MAX_BYTES = 1 << 40
"""Of all files of an archive, unpacked."""
MAX_RATIO = 200
"""Unpacked to packed bytes. Images do not shrink; label files do by 20, a bomb by 1,000 (deflate's limit)."""
FREE_BYTES = 64 << 20
"""So much may be unpacked whatever the ratio is."""

_NAME_MAX = 255  # bytes; Linux
_CHUNK = 1 << 20
_STAGE = "unpack"
_MTIME = 946_684_800  # 2000-01-01; the same at every unpacking, since the folder's name is the content
_JUNK = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db"})


def is_archive(path: Path) -> bool:
    """Whether a file's name says that it is an archive."""
    return path.name.lower().endswith(ENDINGS) and path.is_file()


def unpack(path: Path, tree: Tree, store: Path, report: Report) -> Path:
    """The folder below `store` that holds the content of an archive in `tree`, unpacked now or earlier.

    Its name is the archive's sha256; built aside and renamed, so it is whole or not there. Raises
    InvalidDataError that names the entry which is not taken, DiskFullError before anything is written.
    """
    report(stage=_STAGE)
    with volume_errors(store, "write below"):
        store.mkdir(parents=True, exist_ok=True)
        folder = store / _sha256(path, tree, store)
        make_to_use(folder, lambda: _unpack_once(path, folder, report), is_whole=folder.is_dir)
    return folder


def _unpack_once(path: Path, folder: Path, report: Report) -> None:
    if folder.is_dir():
        return
    temporary = folder.with_name(f"{TEMPORARY_PREFIX}{folder.name}-{secrets.token_hex(4)}")
    temporary.mkdir()
    try:
        _unpack_into(path, temporary, report)
        os.sync()  # one for all files, as for a prepared set
        temporary.rename(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if error.errno not in {errno.EEXIST, errno.ENOTEMPTY} or not folder.is_dir():
            raise
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    fsync_folder(folder.parent)


def _sha256(path: Path, tree: Tree, store: Path) -> str:
    """Content hash; remembered for a file of this path and state."""
    state = tree.state(path.stat())
    about = json.dumps([tree.image, str(path), *state])
    note = store / f".sha256-{hashlib.sha256(about.encode()).hexdigest()[:32]}"
    try:
        known = note.read_text(encoding="ascii")
    except (OSError, ValueError):
        known = ""
    if len(known) == 64 and known.isalnum() and state[-1] != UNTOLD:
        return known
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    write_atomic(note, digest)
    return digest


def _unpack_into(path: Path, folder: Path, report: Report) -> None:
    entries = zip_entries if path.name.lower().endswith(".zip") else tar_entries
    budget = _Budget(path, report)
    try:
        for entry in entries(path):
            target = _target(path, entry, folder)
            if target is None:
                continue
            budget.count(entry)
            if entry.is_folder:
                target.mkdir(parents=True, exist_ok=True)
            else:
                _write(path, entry, target, budget)
    except BROKEN as error:
        raise InvalidDataError(f"{path} is no whole archive: {error or type(error).__name__}") from error


class _Budget:
    """Counts what is unpacked; sizes that the archive states are not trusted."""

    def __init__(self, path: Path, report: Report) -> None:
        self._path = path
        self._report = report
        self._reported = time.monotonic()
        self._packed = path.stat().st_size
        self._entries = 0
        self._bytes = 0

    def count(self, entry: Entry) -> None:
        """One more entry, whose stated size must fit onto the volume."""
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            raise InvalidDataError(f"{self._path} has more than {MAX_ENTRIES} entries")
        if (now := time.monotonic()) - self._reported >= REPORT_SECONDS:
            self._reported = now
            self._report(stage=_STAGE, batch=self._entries)
        if entry.size > FREE_BYTES and entry.size > shutil.disk_usage(self._path).free:
            raise DiskFullError(
                f"{self._path}: {entry.name!r} has {entry.size} bytes, more than the volume has room"
            )

    def spend(self, entry: Entry, count: int) -> None:
        """`count` more bytes of an entry came out of the archive."""
        self._bytes += count
        if self._bytes > MAX_BYTES:
            raise InvalidDataError(f"{self._path} unpacks to more than {MAX_BYTES} bytes, at {entry.name!r}")
        if self._bytes > max(FREE_BYTES, MAX_RATIO * self._packed):
            raise InvalidDataError(
                f"{self._path} is a decompression bomb: it unpacks to more than {MAX_RATIO} times its size, "
                f"at {entry.name!r}"
            )


def _target(path: Path, entry: Entry, folder: Path) -> Path | None:
    """Where an entry goes; None for the litter of desktops."""
    name = entry.name.replace("\\", "/")
    plain = PurePosixPath(name)
    if plain.is_absolute() or (plain.parts and plain.parts[0].endswith(":")):
        raise InvalidDataError(f"{path}: entry {entry.name!r} has an absolute path")
    if ".." in plain.parts or "\0" in name:
        raise InvalidDataError(f"{path}: entry {entry.name!r} leads out of the archive ('..')")
    if any(len(os.fsencode(part)) > _NAME_MAX for part in plain.parts):
        raise InvalidDataError(
            f"{path}: entry {entry.name[:60]!r}… has a name of more than {_NAME_MAX} bytes"
        )
    if entry.refused:
        raise InvalidDataError(f"{path}: entry {entry.name!r} {entry.refused}")
    if not plain.parts or _JUNK & set(plain.parts):
        return None
    return folder.joinpath(*plain.parts)


def _write(path: Path, entry: Entry, target: Path, budget: _Budget) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        file = target.open("xb")
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise InvalidDataError(f"{path}: entry {entry.name!r} is there twice") from error
    with file, entry.open() or _nothing() as packed:
        while chunk := packed.read(_CHUNK):
            budget.spend(entry, len(chunk))
            file.write(chunk)
    os.utime(target, (_MTIME, _MTIME))


def _nothing() -> IO[bytes]:
    raise EOFError("an entry without content")
