"""An image that holds files and nothing else: what `template.data.image` of a training names."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .images import output
from .paths import buildah_command
from .registry import push

REPOSITORY = "registry.local/yolo-operator/data"


def push_data_image(folder: Path, registry: str) -> str:
    """Builds an image with the files of `folder` at its root and pushes it; returns the pods' reference.

    The tag is a hash of names and contents: nodes keep images, and no set must be taken for another.
    Raises ClusterError.
    """
    reference = f"{REPOSITORY}:{_hash(folder)}"
    buildah = buildah_command()
    container = output([*buildah, "from", "scratch"])
    try:
        output([*buildah, "add", "--quiet", container, str(folder), "/"])
        output([*buildah, "commit", "--quiet", container, reference])
        return push(reference, registry)
    finally:
        output([*buildah, "rm", container])
        output([*buildah, "rmi", "--force", reference])


def _hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]
