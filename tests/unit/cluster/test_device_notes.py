"""The one folder of a machine that all kubelets take for theirs."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cluster import device_notes, paths, removal, slots

# What a kubelet does: it makes the folder if it has to, and writes.
KUBELET = (
    "import os, sys; os.makedirs(sys.argv[1], exist_ok=True); open(sys.argv[1] + '/' + sys.argv[2], 'w')"
)


@pytest.fixture(autouse=True)
def fixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "lib" / "device-plugins"
    monkeypatch.setattr(device_notes, "FIXED", folder)
    monkeypatch.setattr(paths, "RUN", tmp_path / "run")
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


def test_two_caches_of_one_machine_have_one_lock(
    tmp_path: Path, fixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _run_kubelet(Path("/"), fixed, "before")
    waits = threading.Thread(target=device_notes.ensure, args=[tmp_path / "two"])
    rename = Path.rename

    def slowly(path: Path, target: Path) -> Path:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache of another"))
        monkeypatch.setattr(Path, "rename", rename)
        waits.start()
        waits.join(0.2)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", slowly)
    device_notes.ensure(tmp_path / "one")
    waits.join(10)
    device_notes.remove()
    assert _names(fixed) == ["before"]


def test_another_cluster_that_runs_keeps_the_link(tmp_path: Path, fixed: Path) -> None:
    device_notes.ensure(tmp_path / "one")
    other = paths.run_dir(1)
    other.mkdir(parents=True)
    device_notes.remove()
    assert fixed.is_symlink()
    other.rmdir()
    device_notes.remove()
    assert not fixed.is_symlink()


def test_what_a_kill_left_half_done_is_put_back(tmp_path: Path, fixed: Path) -> None:
    """Between the two steps of `ensure`, or of `remove`, the folder is nowhere."""
    _run_kubelet(Path("/"), fixed, "before")
    device_notes.ensure(tmp_path / "one")
    fixed.unlink()
    device_notes.remove()
    assert _names(fixed) == ["before"]


def test_down_after_a_reboot_puts_back_what_was_there(
    tmp_path: Path, fixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which empties /run, and so took the clusters' folders there with it."""
    monkeypatch.setattr("os.geteuid", lambda: 0)
    for name in ("network.remove", "node.sweep", "detach"):
        monkeypatch.setattr(f"cluster.removal.{name}", lambda *_: None)
    state = tmp_path / "state"
    (state / "logs").mkdir(parents=True)
    _run_kubelet(Path("/"), fixed, "before")
    slots.allocate(state)
    device_notes.ensure(tmp_path / "one")
    removal.remove_cluster(state)
    assert not fixed.is_symlink()
    assert _names(fixed) == ["before"]
