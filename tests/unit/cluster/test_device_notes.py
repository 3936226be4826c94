"""The one folder of a machine that all kubelets take for theirs."""

import subprocess
import sys
from pathlib import Path

import pytest

from cluster import device_notes

# What a kubelet does: it makes the folder if it has to, and writes.
KUBELET = (
    "import os, sys; os.makedirs(sys.argv[1], exist_ok=True); open(sys.argv[1] + '/' + sys.argv[2], 'w')"
)


@pytest.fixture(autouse=True)
def fixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "lib" / "device-plugins"
    monkeypatch.setattr(device_notes, "FIXED", folder)
    return folder


def _run_kubelet(cwd: Path, fixed: Path, note: str) -> None:
    subprocess.run([sys.executable, "-c", KUBELET, str(fixed), note], cwd=cwd, check=True)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_each_of_our_kubelets_finds_its_own_notes(tmp_path: Path, fixed: Path) -> None:
    for name in ("one", "two"):
        device_notes.ensure(tmp_path / name)
        _run_kubelet(tmp_path / name, fixed, name)
    for name in ("one", "two"):
        assert _names(device_notes.own_notes(tmp_path / name)) == [name]


@pytest.mark.parametrize("before", [[], ["before"]])
def test_other_kubelets_keep_theirs_meanwhile_and_afterwards(
    tmp_path: Path, fixed: Path, before: list[str]
) -> None:
    for note in before:
        _run_kubelet(Path("/"), fixed, note)
    device_notes.ensure(tmp_path / "one")
    _run_kubelet(Path("/"), fixed, "meanwhile")
    device_notes.remove()
    assert not fixed.is_symlink()
    _run_kubelet(Path("/"), fixed, "next")
    assert _names(fixed) == sorted([*before, "meanwhile", "next"])
    assert _names(fixed.parent) == ["device-plugins"]


def test_a_link_of_somebody_else_is_left_alone(tmp_path: Path, fixed: Path) -> None:
    fixed.parent.mkdir()
    fixed.symlink_to(tmp_path)
    device_notes.ensure(tmp_path / "one")
    device_notes.remove()
    assert fixed.readlink() == tmp_path
