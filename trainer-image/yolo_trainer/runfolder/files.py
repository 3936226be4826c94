"""Every operation on a file of the run folder, and nothing else: each is one step that a test can watch.

`point` is called before each step takes effect; a test puts there what stops, kills, fails or overtakes the
program (`tests/unit/trainer/runfolder`). Reads of a network volume that fails for a moment are tried again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, TypeVar

from ..errors import VOLUME_UNAVAILABLE
from ..volume import TEMPORARY_PREFIX, fsync_folder

T = TypeVar("T")

TRANSIENT = VOLUME_UNAVAILABLE | {errno.EAGAIN}
"""After which the same call may succeed."""
WAITS = (0.1, 0.4, 1.5, 4.0)
"""Seconds between the tries of a read: 6 s in all, well below the 25 s that a stop may take."""
_CHUNK = 1 << 20
FLUSHED_EVERY = 64 << 20
"""Bytes of a long file after which it is brought to the disk. A process cannot be ended while a slow volume
takes what it flushes: 2 GiB in one go would outlast a pod's grace period."""
NFS_OPEN = ".nfs"
"""So NFS names a file that was deleted while a program of the same node has it open; to delete that one
is EBUSY there."""

sleep = time.sleep


def _nothing(step: str, path: Path) -> None:
    del step, path


point: Callable[[str, Path], None] = _nothing


def patient(read: Callable[[], T]) -> T:
    """What `read` returns; tried again while it raises one of `TRANSIENT`, then that is raised."""
    for wait in WAITS:
        try:
            return read()
        except OSError as error:
            if error.errno not in TRANSIENT:
                raise
        sleep(wait)
    return read()


def names(folder: Path) -> list[str]:
    """What is in a folder, sorted; nothing when there is none."""

    def read() -> list[str]:
        point("list", folder)
        try:
            return sorted(os.listdir(folder))  # noqa: PTH208 - names and no paths
        except (FileNotFoundError, NotADirectoryError):
            return []

    return patient(read)


def read(path: Path) -> bytes | None:
    """The content of a small file; None when there is none."""

    def read() -> bytes | None:
        point("read", path)
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    return patient(read)


def status(path: Path) -> os.stat_result | None:
    """Size, times and inode; None when there is no such file."""

    def read() -> os.stat_result | None:
        point("stat", path)
        try:
            return path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None

    return patient(read)


def open_to_read(path: Path) -> BufferedReader | None:
    """An open file, which stays what it is when another one takes its name; None when there is none."""

    def read() -> BufferedReader | None:
        point("open", path)
        try:
            return path.open("rb")
        except (FileNotFoundError, NotADirectoryError):
            return None

    return patient(read)


def open_existing(path: Path) -> BufferedReader:
    """As `open_to_read`; raises FileNotFoundError."""
    stream = open_to_read(path)
    if stream is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return stream


def pieces(stream: BufferedReader) -> Iterator[bytes]:
    """The content of an open file from its beginning."""
    at = 0
    while piece := patient(partial(os.pread, stream.fileno(), _CHUNK, at)):
        at += len(piece)
        yield piece


def digest(stream: BufferedReader) -> str:
    """The sha256 of an open file from its beginning; it is at its beginning again afterwards."""

    def read() -> str:
        stream.seek(0)
        found = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
        return found

    return patient(read)


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, where they are missing."""
    point("mkdir", folder)
    folder.mkdir(parents=True, exist_ok=True)


def make_one_folder(folder: Path) -> None:
    """Makes a folder in one that must be there; raises FileNotFoundError."""
    point("mkdir", folder)
    folder.mkdir(exist_ok=True)


def create(path: Path, content: bytes) -> bool:
    """Makes a file that must not be there; False when it is.

    The name is taken first and filled then: killed between the two, the file is empty.
    """
    point("create", path)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o664)
    except FileExistsError:
        return False
    try:
        point("fill", path)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return True


def write(path: Path, content: bytes) -> None:
    """Writes a small file whole: aside, fsynced, renamed. A reader sees the old or the new one."""
    temporary = aside(path)
    try:
        with writing(temporary) as sink:
            sink.write(content)
        rename(temporary, path)
    except OSError:
        remove(temporary)
        raise


def fill(path: Path, content: bytes) -> None:
    """Writes a small file in its place, which nobody reads yet."""
    with writing(path) as sink:
        sink.write(content)


def aside(path: Path) -> Path:
    """Where a file is written before it is moved to `path`."""
    return path.with_name(f"{TEMPORARY_PREFIX}{path.name}.{secrets.token_hex(4)}")


class Sink:
    """A file to write into that knows the sha256 of what was written."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file = file
        self._path = path
        self._hash = hashlib.sha256()
        self._unflushed = 0

    def write(self, data: Any) -> int:
        """As of a binary file; `data` is any buffer."""
        point("write", self._path)
        self._hash.update(data)
        written = self._file.write(data)
        self._unflushed += written
        if self._unflushed >= FLUSHED_EVERY:
            self._unflushed = 0
            self._file.flush()
            os.fdatasync(self._file.fileno())
        return written

    def flush(self) -> None:
        """As of a binary file."""
        self._file.flush()

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Sink]:
    """A file to write, on disk when the block ends; what fails leaves none: a full disk needs the room."""
    try:
        point("open", path)
        with path.open("wb") as file:
            sink = Sink(file, path)
            yield sink
            point("fsync", path)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with contextlib.suppress(OSError):
            remove(path)
        raise


def flush(stream: BufferedReader) -> None:
    """Makes what another program wrote into a file durable."""
    point("fsync", Path(str(stream.name)))
    os.fsync(stream.fileno())


def append_to(path: Path) -> IO[str]:
    """A text file to append lines to."""
    point("open", path)
    return path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)


def rename(source: Path, target: Path) -> None:
    """Moves a file to its place, over what is there; both in one file system."""
    point("rename", target)
    source.replace(target)


def remove(path: Path) -> None:
    """Deletes a file, if it is there and NFS does not keep it for a reader."""

    def unlink() -> None:
        point("remove", path)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()

    try:
        patient(unlink)
    except OSError as error:
        if error.errno != errno.EBUSY or not path.name.startswith(NFS_OPEN):
            raise


def remove_folder(folder: Path) -> None:
    """Deletes a folder, though somebody may still put files there; it stays while NFS keeps one.

    Folders in it are what a file server or a desktop leaves everywhere, such as `@eaDir`.
    """
    for _ in range(1000):
        for name in names(folder):
            try:
                remove(folder / name)
            except IsADirectoryError:
                remove_folder(folder / name)
        point("rmdir", folder)
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            left = names(folder)
            if left and all(name.startswith(NFS_OPEN) for name in left):
                return
        else:
            return
    raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(folder))


def sync(folder: Path) -> None:
    """Makes renames within a folder durable."""
    point("sync", folder)
    fsync_folder(folder)
