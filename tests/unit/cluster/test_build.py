"""What a cached binary depends on, and that the pins of versions.toml are the modules' own."""

import re
from dataclasses import replace

import pytest

from cluster.build import Program, cache_key, newer_or_equal, programs, read_sources, wanted
from cluster.versions import version

PROGRAM = Program("etcd", {"etcd": "."}, {"main.version": "1"})
SOURCES = {"go.mod": b"module x\n", "main.go": b"package main\n"}
KEY = cache_key(PROGRAM, SOURCES, "1.26.8")


@pytest.mark.parametrize(
    "other",
    [
        cache_key(PROGRAM, {**SOURCES, "go.sum": b""}, "1.26.8"),
        cache_key(PROGRAM, {**SOURCES, "main.go": b"package main \n"}, "1.26.8"),
        cache_key(PROGRAM, SOURCES, "1.27.3"),
        cache_key(replace(PROGRAM, variables={"main.version": "2"}), SOURCES, "1.26.8"),
        cache_key(replace(PROGRAM, tags="no_btrfs"), SOURCES, "1.26.8"),
        cache_key(replace(PROGRAM, packages={"etcd": "./cmd"}), SOURCES, "1.26.8"),
        cache_key(replace(PROGRAM, module="example.com/x", folder="config"), SOURCES, "1.26.8"),
    ],
)
def test_cache_key_changes_with_every_input(other: str) -> None:
    assert other != KEY


def test_cache_key_is_stable_in_the_order_of_files() -> None:
    assert cache_key(PROGRAM, dict(reversed(SOURCES.items())), "1.26.8") == KEY


@pytest.mark.parametrize(
    ("found", "wanted", "want"),
    [
        ("1.26.8", "1.26", True),
        ("1.26", "1.26", True),
        ("1.27.3", "1.26", True),
        ("2.0", "1.26", True),
        ("1.19.8", "1.26", False),
        ("1.9", "1.26", False),
    ],
)
def test_newer_or_equal_compares_numbers(found: str, wanted: str, want: bool) -> None:
    assert newer_or_equal(found, wanted) is want


@pytest.mark.parametrize(
    ("program", "module"),
    [
        ("kube", "k8s.io/kubernetes"),
        ("etcd", "go.etcd.io/etcd/server/v3"),
        ("containerd", "github.com/containerd/containerd/v2"),
        ("coredns", "github.com/coredns/coredns"),
        ("helm", "helm.sh/helm/v4"),
        ("kueue", "sigs.k8s.io/kueue"),
    ],
)
def test_versions_are_those_of_the_go_modules(program: str, module: str) -> None:
    sources = next(read_sources(each) for each in programs() if each.name == program)
    found = re.search(rf"(?m)^(?:require)?\s*{re.escape(module)} v(\S+)", sources["go.mod"].decode())
    assert found is not None
    assert found[1] == version("kubernetes" if program == "kube" else program)


def test_kueue_is_built_only_where_it_is_wanted() -> None:
    assert "kueue" not in wanted()
    assert wanted(api_only=True, kueue=True) == ["kube", "etcd", "helm", "kueue"]


def test_every_program_has_committed_sums() -> None:
    assert all({"go.mod", "go.sum"} <= read_sources(program).keys() for program in programs())
