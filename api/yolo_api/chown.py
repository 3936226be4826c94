"""`python -m yolo_api.chown UID GID FOLDER…`: gives all that is in the folders to one user and group.

What the chart's opt-in Job runs as root, where files of both volumes are another user's: of an old server, or
of an installation with another `podSecurity.runAsUser`. It may be ended and run again at any time: what has
the owner already is only looked at. No link is followed, and no other file system entered.
"""

import errno
import os
import signal
import stat
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

_SAID_EVERY = 10.0
"""Seconds between two lines on the way."""
_SHOWN = 3
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESTALE})
"""What is answered of a file that somebody removes meanwhile."""


@dataclass
class Change:
    """The new owner, and what was done so far."""

    uid: int
    gid: int
    seen: int = 0
    changed: int = 0
    failed: int = 0
    failures: list[str] = field(default_factory=list)
    """The first of them, in words."""
    _said: float = field(default_factory=time.monotonic)

    def walk(self, top: str) -> None:
        """Changes a folder and all below it. Raises OSError where the folder itself is not there."""
        device = Path(top).lstat().st_dev
        self._take(top, top)
        for parent, folders, files, descriptor in os.fwalk(top, onerror=self._fail):
            for name in files:
                self._take(name, f"{parent}/{name}", descriptor)
            folders[:] = [
                name for name in folders if self._take(name, f"{parent}/{name}", descriptor, device=device)
            ]

    def _take(self, name: str, shown: str, within: int | None = None, *, device: int | None = None) -> bool:
        """Changes one file, link or folder; whether it is a folder to be entered."""
        try:
            found = os.stat(name, dir_fd=within, follow_symlinks=False)
            if device not in {None, found.st_dev}:
                return False
            self.seen += 1
            if (found.st_uid, found.st_gid) != (self.uid, self.gid):
                os.chown(name, self.uid, self.gid, dir_fd=within, follow_symlinks=False)
                self.changed += 1
        except OSError as error:
            self._fail(error, shown)
            return error.errno not in _GONE
        if time.monotonic() > self._said + _SAID_EVERY:
            self._said = time.monotonic()
            print(f"{self.text} so far, at {shown}", flush=True)
        return stat.S_ISDIR(found.st_mode)

    def _fail(self, error: OSError, shown: str | None = None) -> None:
        if error.errno in _GONE:
            return
        self.failed += 1
        if len(self.failures) < _SHOWN:
            self.failures.append(f"{shown or error.filename}: {error.strerror}")

    @property
    def text(self) -> str:
        """How much was done."""
        return f"{self.changed} of {self.seen} files and folders given to {self.uid}:{self.gid}"


def main(arguments: list[str]) -> int:
    """The exit code: 1 where something keeps its owner."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # PID 1 has no other way to be ended
    change = Change(int(arguments[0]), int(arguments[1]))
    for folder in arguments[2:]:
        change.walk(folder)
    print(change.text, flush=True)
    if not change.failed:
        return 0
    print(
        f"{change.failed} keep their owner: {'; '.join(change.failures)}. An NFS server that squashes root "
        f"lets nobody do that from here: there, chown -R {change.uid}:{change.gid} the exported folder",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
