"""Images of one static binary, written as an OCI archive without any container tool."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path

from .files import write_text
from .locks import locked


def packed(binary: Path, reference: str) -> tuple[Path, str]:
    """The archive of the image `reference` of `binary`, and its manifest's digest.

    It lies beside the binary, which clusters share: who comes first writes it, the others wait.
    """
    archive = binary.with_name(f"{binary.name}-{reference.rpartition(':')[2]}.oci.tar")
    note = archive.with_suffix(".digest")
    with locked(archive.with_suffix(".lock")):
        if not (archive.exists() and note.exists()):
            write_text(note, write_image(archive, reference, binary))
    return archive, note.read_text()


def write_image(archive: Path, reference: str, binary: Path, *, user: str = "65532:65532") -> str:
    """Writes `archive`, importable by `ctr images import`: `binary` at the root, run as `user`.

    The same binary gives the same bytes. The format is OCI image layout 1.0. Returns the manifest's digest.
    """
    layer = _tar({binary.name: binary.read_bytes()}, mode=0o755)
    config = {
        "architecture": "amd64" if _machine() == "x86_64" else "arm64",
        "os": "linux",
        "config": {"Entrypoint": [f"/{binary.name}"], "User": user, "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        "history": [{"created_by": "cluster/oci.py"}],
    }
    blobs = {}

    def add(media_type: str, content: bytes) -> dict[str, object]:
        blobs[f"blobs/sha256/{_digest(content).removeprefix('sha256:')}"] = content
        return {
            "mediaType": f"application/vnd.oci.image.{media_type}",
            "digest": _digest(content),
            "size": len(content),
        }

    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": add("config.v1+json", json.dumps(config).encode()),
        "layers": [add("layer.v1.tar", layer)],
    }
    entry = add("manifest.v1+json", json.dumps(manifest).encode())
    entry["annotations"] = {"io.containerd.image.name": reference}
    index = {"schemaVersion": 2, "manifests": [entry]}
    content = {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps(index).encode(),
        **blobs,
    }
    aside = archive.with_suffix(".tmp")
    aside.parent.mkdir(parents=True, exist_ok=True)
    aside.write_bytes(_tar(content, mode=0o644))
    aside.replace(archive)
    return str(entry["digest"])


def _machine() -> str:
    return platform.machine()


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _tar(files: dict[str, bytes], *, mode: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
