"""Show an attempt's files at the old paths, as real files, and never those of an attempt that was overtaken.

Publishing means: the file is put into the attempt's own *licence*, a folder `.publish/<claim>-<token>` beside
the old paths, and renamed to its place from there. A newer claim removes the licences of all older ones. A
rename out of a folder that is gone fails, so whatever an overtaken attempt still had in mind, from the moment
that the newer one is through with its claim on it cannot change what is published. Nor can it get a new
licence: it makes the folder first and looks whose claim is the newest then, while the newer one claims first
and removes licences then; one of the two sees the other.

Weights are hard links (they are replaced, never written into), all else copies: results.csv grows in place.
Published files are never read back.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from yolo_crds.layout import RunFolder

from . import copies, files

_GONE = frozenset({errno.ENOENT, errno.ESTALE, errno.ENOTDIR})
"""What a licence that was taken away answers, on NFS too."""


class Licence:
    """What one process of an attempt publishes through. `check` raises when the attempt was overtaken."""

    def __init__(self, folder: RunFolder, token: str, claim: int, check: Callable[[], object]) -> None:
        self._bases = (folder.train, folder.info)
        self._name = f"{claim:08}-{token}-{secrets.token_hex(4)}"
        self._claim = claim
        self._check = check
        self._granted: set[Path] = set()

    def revoke_older(self) -> None:
        """Takes away what older claims would publish through."""
        for base in self._bases:
            for name in files.names(base / PUBLISHING):
                number = name.partition("-")[0]
                if number.isdecimal() and int(number) < self._claim:
                    files.remove_folder(base / PUBLISHING / name)

    def publish(self, source: Path, place: Path, *, link: bool = False) -> None:
        """Shows `source` at `place`: as a hard link where it is never written into, else as a copy."""
        if link and _is_same(source, place):
            return
        put = copies.link_or_copy if link else copies.copy
        self.put(place, lambda aside: put(source, aside))

    def put(self, place: Path, make: Callable[[Path], object]) -> None:
        """Lets `make` make a file aside, and moves it to `place`; raises FencedError when overtaken."""
        base = next(base for base in self._bases if place.is_relative_to(base))
        if base not in self._granted:
            self._grant(base)
        aside = base / PUBLISHING / self._name / f"{place.name}.{secrets.token_hex(4)}"
        try:
            _move(make, aside, place, base)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            self._grant(base)  # says by whom it was taken away; else somebody cleaned up, and may we again
            _move(make, aside, place, base)

    def end(self) -> None:
        """Gives the licence back."""
        for base in self._granted:
            files.remove_folder(base / PUBLISHING / self._name)
        self._granted.clear()

    def _grant(self, base: Path) -> None:
        """Makes the licence; raises what `check` raises, and then there is none."""
        self._granted.discard(base)
        self._check()  # a folder that was cleared does not come back for it
        files.make_folder(base / PUBLISHING / self._name)
        try:
            self._check()
        except Exception:
            files.remove_folder(base / PUBLISHING / self._name)
            raise
        self._granted.add(base)


def _move(make: Callable[[Path], object], aside: Path, place: Path, base: Path) -> None:
    try:
        if place.parent != base:
            files.make_one_folder(place.parent)
        make(aside)
        files.rename(aside, place)
    except OSError as error:
        if error.errno not in _GONE:
            files.remove(aside)  # on a full disk others need the room
        raise


PUBLISHING = ".publish"
"""Folder of the licences, in `train/<m>` and in `train_info/<m>`: these may be two mounts."""


def _is_same(source: Path, place: Path) -> bool:
    """Whether `place` shows this very file; a copy has its size and time of change."""
    have, want = files.status(place), files.status(source)
    if have is None or want is None:
        return False
    if os.path.samestat(have, want):
        return True
    return (have.st_size, have.st_mtime_ns) == (want.st_size, want.st_mtime_ns)
