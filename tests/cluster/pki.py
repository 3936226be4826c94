"""Keys and certificates of a cluster, made by openssl: an authority for each kind of trust."""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

from .files import write_json

DAYS = "3650"


@dataclass(frozen=True)
class Identity:
    """Who a certificate is for: user, group, and the names that it serves under."""

    file: str
    user: str
    group: str = ""
    names: tuple[str, ...] = ()
    issuer: str = "ca"


def openssl(*arguments: str) -> None:
    """Runs openssl; its message is part of the error if it fails."""
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"openssl {' '.join(arguments)}: {done.stderr.strip()}")


class Pki:
    """The folder of keys; each `ensure_` makes only what is missing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def certificate(self, name: str) -> str:
        return str(self.folder / f"{name}.crt")

    def key(self, name: str) -> str:
        return str(self.folder / f"{name}.key")

    def ensure_roots(self) -> None:
        """The two authorities, and the key that signs service account tokens."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        for name in ("ca", "front-proxy-ca", "etcd-ca"):
            if not Path(self.certificate(name)).exists():
                self._new_key(name)
                openssl(
                    "req", "-x509", "-new", "-key", self.key(name), "-days", DAYS, "-subj", f"/CN={name}",
                    "-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature",
                    "-out", self.certificate(name),
                )  # fmt: skip
        if not Path(self.key("sa")).exists():
            self._new_key("sa")

    def ensure(self, identity: Identity) -> None:
        """A certificate for server and client use, made again if its identity has changed."""
        stamp = self.folder / f"{identity.file}.json"
        want = json.dumps([identity.user, identity.group, identity.names, identity.issuer])
        if stamp.exists() and stamp.read_text() == want:
            return
        self._new_key(identity.file)
        request = self.folder / f"{identity.file}.csr"
        subject = f"/O={identity.group}/CN={identity.user}" if identity.group else f"/CN={identity.user}"
        openssl("req", "-new", "-key", self.key(identity.file), "-subj", subject, "-out", str(request))
        extensions = self.folder / f"{identity.file}.ext"
        extensions.write_text(render_extensions(identity.names))
        issuer = identity.issuer
        openssl(
            "x509", "-req", "-in", str(request), "-CA", self.certificate(issuer), "-CAkey", self.key(issuer),
            "-CAcreateserial", "-days", DAYS, "-extfile", str(extensions),
            "-out", self.certificate(identity.file),
        )  # fmt: skip
        request.unlink()
        extensions.unlink()
        stamp.write_text(want)

    def _new_key(self, name: str) -> None:
        aside = Path(self.key(name) + ".tmp")
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(aside))
        aside.chmod(0o600)
        aside.replace(self.key(name))

    def kubeconfig(self, path: Path, server: str, user: str) -> None:
        """Writes a kubeconfig for the certificate `user`, with everything in it."""
        cluster = {"server": server, "certificate-authority-data": _encoded(self.certificate("ca"))}
        credentials = {
            "client-certificate-data": _encoded(self.certificate(user)),
            "client-key-data": _encoded(self.key(user)),
        }
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "local", "cluster": cluster}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": user}}],
            "current-context": "local",
        }
        write_json(path, content, mode=0o600)


def render_extensions(names: tuple[str, ...]) -> str:
    """openssl's extension file: both uses, and each name as an address or a DNS name."""
    lines = ["keyUsage=critical,digitalSignature,keyEncipherment", "extendedKeyUsage=serverAuth,clientAuth"]
    if names:
        kinds = [f"IP:{name}" if name.replace(".", "").isdigit() else f"DNS:{name}" for name in names]
        lines.append("subjectAltName=" + ",".join(kinds))
    return "\n".join(lines) + "\n"


def _encoded(path: str) -> str:
    return b64encode(Path(path).read_bytes()).decode()
