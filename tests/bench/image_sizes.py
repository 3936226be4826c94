"""What an image takes on a node's disk, unpacked, and which packages take most of it."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster import buildah_command

MEGABYTE = 1_000_000
_SITE_PACKAGES = ("opt/venv/lib/python3*/site-packages/*", "opt/torch/*")


@contextmanager
def mounted(reference: str) -> Iterator[Path]:
    """The root file system of an image of buildah's storage."""
    buildah = buildah_command()
    name = _output([*buildah, "from", "--pull=never", reference])
    try:
        yield Path(_output([*buildah, "mount", name]))
    finally:
        subprocess.run([*buildah, "rm", name], capture_output=True, check=True)


def total(root: Path) -> int:
    """Bytes of all files below `root`."""
    return sum(_size(path) for path in root.rglob("*"))


def largest(root: Path, count: int = 5) -> list[tuple[str, int]]:
    """The packages with the most bytes: Debian's by the lists that dpkg keeps, Python's by their folder."""
    sizes: Counter[str] = Counter()
    for listed in (root / "var/lib/dpkg/info").glob("*.list"):
        name = listed.stem.partition(":")[0]
        sizes[f"{name} (Debian)"] = sum(
            _size(root / line.lstrip("/")) for line in listed.read_text().splitlines()
        )
    for pattern in _SITE_PACKAGES:
        for folder in root.glob(pattern):
            if folder.is_dir() and not folder.name.endswith(".dist-info"):
                sizes[f"{folder.name.removesuffix('.libs')} (Python)"] += total(folder)
    return sizes.most_common(count)


def _size(path: Path) -> int:
    return path.lstat().st_size if path.is_file() and not path.is_symlink() else 0


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
