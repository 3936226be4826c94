"""The OCI archive of a static binary, and names of images."""

import json
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cluster.oci import packed, write_image
from cluster.registry import repository_path


def test_write_image_is_a_readable_archive_and_the_same_each_time(tmp_path: Path) -> None:
    binary = tmp_path / "tool"
    binary.write_bytes(b"\x7fELF")
    digest = write_image(tmp_path / "a.tar", "registry.local/tool:1", binary)
    assert write_image(tmp_path / "b.tar", "registry.local/tool:1", binary) == digest
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as archive:
        index = json.load(archive.extractfile("index.json") or pytest.fail("no index"))
        entry = index["manifests"][0]
        assert entry["annotations"] == {"io.containerd.image.name": "registry.local/tool:1"}
        assert entry["digest"] == digest
        names = archive.getnames()
        assert f"blobs/sha256/{digest.removeprefix('sha256:')}" in names


def test_clusters_that_start_at_once_find_one_whole_archive(tmp_path: Path) -> None:
    binary = tmp_path / "tool"
    binary.write_bytes(bytes(1 << 20))
    with ThreadPoolExecutor(8) as clusters:
        found = set(clusters.map(lambda _: packed(binary, "registry.local/tool:1"), range(32)))
    ((archive, digest),) = found
    whole = tmp_path / "whole.tar"
    assert write_image(whole, "registry.local/tool:1", binary) == digest
    assert archive.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    ("image", "want"),
    [
        ("registry.local/yolo-operator/api:dev", "yolo-operator/api:dev"),
        ("localhost/yolo-operator/api", "yolo-operator/api:latest"),
        ("127.0.0.1:5000/api:1", "api:1"),
        ("yolo-operator/api:1", "yolo-operator/api:1"),
        ("api", "api:latest"),
    ],
)
def test_repository_path_drops_the_host(image: str, want: str) -> None:
    assert repository_path(image) == want
