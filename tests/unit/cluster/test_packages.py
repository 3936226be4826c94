"""Debian packages that a node needs: installed once, whoever asks."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cluster import packages

# Takes no second one beside it, as the real one at `update`; a package brings the command of its name.
APT = """#!/bin/bash
mkdir {root}/running || exit 100
for last; do :; done
echo "$last $(test -x {root}/policy && echo quiet)" >> {root}/log
sleep 0.1
[ "$last" = update ] || { echo > {root}/"$last"; chmod +x {root}/"$last"; }
rmdir {root}/running
"""


def test_clusters_that_start_at_once_install_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text(APT.replace("{root}", str(tmp_path)))
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(packages, "POLICY", tmp_path / "policy")
    monkeypatch.setattr(packages, "debian_packages", lambda: {"yolo-tool": "yolo-tool", "sh": "dash"})
    with ThreadPoolExecutor(4) as clusters:
        list(clusters.map(packages.install, [["yolo-tool"]] * 4))
    assert (tmp_path / "log").read_text().splitlines() == ["update quiet", "yolo-tool quiet"]
    assert not packages.POLICY.exists()
