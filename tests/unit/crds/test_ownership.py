import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from other_users import open_folder, without_rights
from yolo_crds.ownership import Denial, explain_denial


@pytest.fixture
def volume() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


def test_explain_denial_names_the_folder_that_cannot_be_entered(volume: Path) -> None:
    closed = volume / "train"
    (closed / "m" / "weights").mkdir(parents=True)
    closed.chmod(0o000)
    with without_rights():
        found = explain_denial(closed / "m" / "weights" / "best.pt")
    assert found is not None
    assert (found.path, found.uid, found.mode) == (closed, os.geteuid(), 0)
    assert f"{closed} belongs to {os.geteuid()}:{os.getegid()} (uid:gid, mode 0000)" in found.message


def test_explain_denial_names_the_folder_where_it_would_be_made(volume: Path) -> None:
    closed = volume / "prepared"
    closed.mkdir()
    closed.chmod(0o555)
    with without_rights():
        found = explain_denial(closed / "4f" / "data.yaml")
    assert found is not None
    assert (found.path, found.mode, found.allowed) == (closed, 0o555, False)


def test_explain_denial_names_a_file_that_cannot_be_read(volume: Path) -> None:
    file = volume / "labels.txt"
    file.touch()
    file.chmod(0o000)
    volume.chmod(0o777)
    with without_rights():
        found = explain_denial(file)
    assert found is not None
    assert found.path == file


def test_explain_denial_blames_the_server_where_owner_and_mode_allow_it(volume: Path) -> None:
    """As of an export that squashes users, or wants Kerberos."""
    volume.chmod(0o777)
    with without_rights():
        found = explain_denial(volume)
    assert found is not None
    assert found.allowed
    assert "the volume's server refuses" in found.cure


def test_denial_says_who_asked() -> None:
    denial = Denial(Path("/runs/train"), 0, 0, 0o755, 4711, (4712, 10))
    assert denial.message == (
        "permission denied: /runs/train belongs to 0:0 (uid:gid, mode 0755), and this pod runs as 4711:4712 "
        "(further groups: 10)"
    )


@pytest.mark.parametrize(
    ("uid", "want", "never"),
    [
        (0, "given to 4711:4712 once, by storage.chown.enabled=true", "podSecurity"),
        (1000, "or install with podSecurity.runAsUser=1000 and runAsGroup=1001", "chmod"),
        (4711, "chmod -R u+rwX /runs/train", "storage.chown"),
    ],
)
def test_cure_fits_the_owner(uid: int, want: str, never: str) -> None:
    cure = Denial(Path("/runs/train"), uid, 1001, 0o500, 4711, (4712,)).cure
    assert want in cure
    assert never not in cure
