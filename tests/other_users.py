"""Tests as a user without rights, and folders that such a one may enter."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STRANGER = 65534


@contextmanager
def without_rights() -> Iterator[None]:
    """Whoever runs the tests: root may do everything, and is another user meanwhile."""
    before = os.geteuid()
    try:
        if before == 0:
            os.seteuid(STRANGER)
        yield
    finally:
        os.seteuid(before)


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that everyone may enter, which pytest's own are not; what is closed in it is opened
    again to be removed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        for parent, names, _ in os.walk(folder):
            for inner in (parent, *(f"{parent}/{name}" for name in names)):
                Path(inner).chmod(0o755)
