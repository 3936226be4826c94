"""From buildah's storage into the cluster's registry."""

from __future__ import annotations

import subprocess

from .paths import ClusterError, buildah_command

PREFIX = "registry.local/"
# Half the time of gzip, in pushing as in unpacking; only OCI manifests may name it.
COMPRESSION = ("--format", "oci", "--compression-format", "zstd", "--compression-level", "1")


def repository_path(image: str) -> str:
    """`localhost/yolo-operator/api:dev` (or any other host) -> `yolo-operator/api:dev`."""
    first, slash, rest = image.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost")
    path = rest if is_host else image
    return path if ":" in path.rpartition("/")[2] else f"{path}:latest"


def push(image: str, registry: str) -> str:
    """Pushes the layers that are not there of an image in buildah's storage; returns the pods' reference."""
    path = repository_path(image)
    command = [*buildah_command(), "push", "--quiet", "--tls-verify=false", *COMPRESSION]
    done = subprocess.run([*command, image, f"docker://{registry}/{path}"], capture_output=True, text=True)
    if done.returncode:
        raise ClusterError(f"pushing {image}: {done.stderr.strip()[-800:]}")
    return PREFIX + path
