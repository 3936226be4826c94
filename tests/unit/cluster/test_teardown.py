"""`make clean` in a checkout without a virtual environment, and what `up` makes of half a state."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import processes, removal
from cluster.paths import REPOSITORY
from cluster.processes import Daemon, Supervisor, end, marked

SLEEP = Daemon("kube-apiserver", ("sleep", "300"))
PLAIN_PYTHON = f"""#!/bin/sh
exec {sys.executable} -S "$@"
"""
"""A Python that has the standard library alone."""


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """What `make clean` needs of a clone, with a cluster in it of which a process runs."""
    for name in ("Makefile", ".ci", "tests/cluster", "tests/demo"):
        source, target = REPOSITORY / name, tmp_path / "clone" / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    clone = tmp_path / "clone"
    state = clone / ".local" / "cluster" / "local"
    Supervisor(state).start(SLEEP)
    yield clone
    end(marked(state))


def _clean(clone: Path, python: Path) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"XDG_CACHE_HOME": str(clone.parent / "cache")}
    command = ["make", "clean", f"PYTHON={python}"]
    return subprocess.run(command, cwd=clone, env=env, capture_output=True, text=True)


@pytest.mark.parametrize("deleted", ["", "run", "cluster.json"])
def test_clean_ends_the_cluster_without_a_virtual_environment(checkout: Path, deleted: str) -> None:
    state = checkout / ".local" / "cluster" / "local"
    (state / "cluster.json").write_text('{"slot": 0, "api_only": true}')
    if deleted:
        half = state / deleted
        shutil.rmtree(half) if half.is_dir() else half.unlink()
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").symlink_to("/no/such/python")
    python = checkout.parent / "python"
    python.write_text(PLAIN_PYTHON)
    python.chmod(0o755)
    done = _clean(checkout, python)
    assert done.returncode == 0, done
    assert "nothing of ours runs any more" in done.stderr
    assert marked(state) == []
    assert not (checkout / ".local").exists()


def test_clean_without_a_python_deletes_nothing(checkout: Path) -> None:
    state = checkout / ".local" / "cluster" / "local"
    done = _clean(checkout, Path("/no/such/python"))
    assert done.returncode != 0
    assert "make clean PYTHON=/path/to/python3. Nothing was deleted." in done.stderr
    assert Supervisor(state).pid(SLEEP.name)


def test_clean_of_a_fresh_clone_needs_no_python(checkout: Path) -> None:
    end(marked(checkout / ".local" / "cluster" / "local"))
    shutil.rmtree(checkout / ".local")
    assert _clean(checkout, Path("/no/such/python")).returncode == 0


@pytest.mark.parametrize("missing", ["cluster.json", "pki/ca.key", "etcd"])
def test_remove_ruins_ends_what_runs_of_a_cluster_that_cannot_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    state = tmp_path / "state"
    supervisor = Supervisor(state)
    supervisor.start(SLEEP)
    try:
        for part in ("cluster.json", "pki/ca.key", "etcd/member"):
            (state / part).parent.mkdir(parents=True, exist_ok=True)
            (state / part).touch()
        removal.remove_ruins(state)
        assert supervisor.pid(SLEEP.name), "it is whole"
        gone = state / missing
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
        removal.remove_ruins(state)
        assert marked(state) == []
        assert [path.name for path in state.iterdir()] == ["logs"]
        removal.remove_ruins(state)
    finally:
        end(marked(state))


def test_marked_states_names_the_folder_of_each_cluster(tmp_path: Path) -> None:
    Supervisor(tmp_path / "a").start(SLEEP)
    try:
        assert tmp_path / "a" in processes.marked_states()
    finally:
        end(marked(tmp_path / "a"))
    assert tmp_path / "a" not in processes.marked_states()
