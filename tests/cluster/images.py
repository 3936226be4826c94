"""The product's images on this machine: `python -m cluster.images build|refs|schema|test-trainer|pin|prune`.

The same Dockerfiles as anywhere else, built by buildah on a Debian 13 base that mmdebstrap makes, since this
way needs only Debian's and Python's package registries. A tag is a hash of all that goes into the image, so
an unchanged image is found, not built, and a changed Python line rebuilds only the last small layer.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from . import packages
from .locks import locked
from .paths import REPOSITORY, ClusterError, buildah_command, cache_dir
from .progress import say, step

REPOSITORY_NAME = "registry.local/yolo-operator"
SUITE = "trixie"
# python3-venv brings pip's wheel for `python3 -m venv` in the build stages, and no pip module or command.
BASE_PACKAGES = ("python3", "python3-venv", "ca-certificates")
BASE_OPTIONS = (
    "--variant=minbase",
    "--aptopt=APT::Install-Recommends false",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/info/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/lintian/*",
)
CRDS = "crds/yolo_crds"
KUBE = "crds/yolo_kube"
TORCH = os.environ.get("TORCH", "debian")
"""Where the trainer's torch comes from: `debian`, small and CPU only; `pypi`, as shipped, with CUDA."""
PIP_VARIABLES = ("PIP_CERT", "PIP_INDEX_URL")  # passed on only if set; never part of an image's final stage
LOG_LINES = 40  # of a failed build that are shown


@dataclass(frozen=True)
class Image:
    """What one image is made of: paths below the repository's root, and build arguments."""

    name: str
    dockerfile: str
    sources: tuple[str, ...]
    target: str = ""
    arguments: dict[str, str] = field(default_factory=dict)
    deps: Image | None = None  # the Dockerfile's stage of that name, kept as an image of its own

    def files(self) -> list[Path]:
        """Every file that the build sees, relative to the repository, sorted."""
        found = [Path(self.dockerfile)]
        for source in self.sources:
            path = REPOSITORY / source
            inside = path.rglob("*") if path.is_dir() else [path]
            found += [
                p.relative_to(REPOSITORY) for p in inside if p.is_file() and "__pycache__" not in p.parts
            ]
        return sorted(found)


def _deps(name: str, folder: str, *more: str, **arguments: str) -> Image:
    """All but our own code, so that a changed Python line need not even look at it."""
    sources = tuple(f"{folder}/{file}" for file in ("requirements.txt", *more))
    return Image(f"{name}-deps", f"{folder}/Dockerfile", sources, "deps", arguments)


def _app(deps: Image, *sources: str) -> Image:
    return Image(deps.name.removesuffix("-deps"), deps.dockerfile, (CRDS, *sources), deps=deps)


TRAINER_DEPS = _deps("trainer", "trainer-image", "requirements-torch.txt", "merge_fonts.py", TORCH=TORCH)
IMAGES = {
    image.name: image
    for image in (
        _app(_deps("operator", "operator"), KUBE, "operator/yolo_operator"),
        _app(
            _deps("api", "api"), KUBE, "api/yolo_api", "api/yolo_gpu_agent", "api/THIRD-PARTY.md", "LICENSE"
        ),
        _app(TRAINER_DEPS, "trainer-image/yolo_trainer", "trainer-image/LICENSE"),
        # Without our own code, which tests take from the mounted repository: it is built once.
        Image(
            "trainer-test",
            TRAINER_DEPS.dockerfile,
            ("trainer-image/requirements-test.txt", *TRAINER_DEPS.sources),
            "test",
            deps=TRAINER_DEPS,
        ),
    )
}
DEFAULT = ("operator", "api", "trainer")


def base_ref() -> str:
    """The base image's name; its tag is a key of how it is made, not of Debian's state that day."""
    return f"{REPOSITORY_NAME}/base:{_hash([SUITE, *BASE_PACKAGES, *BASE_OPTIONS])}"


def ref(image: Image, root: Path = REPOSITORY) -> str:
    """`registry.local/yolo-operator/<name>:<12 hex of all that goes in>`; the files are read below `root`."""
    base = ref(image.deps) if image.deps else base_ref()
    parts: list[str | bytes] = [base, image.target, repr(sorted(image.arguments.items()))]
    for path in image.files() if root == REPOSITORY else _files_below(root):
        parts += [path.as_posix(), (root / path).read_bytes()]
    return f"{REPOSITORY_NAME}/{image.name}:{_hash(parts)}"


def refs(names: Iterable[str] = DEFAULT) -> dict[str, str]:
    """Name -> reference, as the working tree is now; nothing is built."""
    return {name: ref(_image(name)) for name in names}


def build(names: Iterable[str] = DEFAULT) -> dict[str, str]:
    """Builds what is not in buildah's storage yet; name -> reference. Concurrent builds wait for each other.

    Raises ClusterError with the end of the log if a build fails.
    """
    _require("buildah", "mmdebstrap")
    return {name: _build(_image(name)) for name in names}


def exists(reference: str) -> bool:
    """Whether buildah's storage has this image, whole."""
    command = [*buildah_command(), "images", "--quiet", reference]
    return subprocess.run(command, capture_output=True).returncode == 0


def _build(image: Image) -> str:
    # A snapshot, so that what is hashed is what is built, whatever changes meanwhile.
    contexts = cache_dir() / "contexts"
    contexts.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{image.name}-", dir=contexts) as folder:
        context = Path(folder)
        for path in image.files():
            target = context / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / path, target)
        _normalise(context)
        reference = ref(image, context)
        if exists(reference):
            return reference
        if image.deps:
            _build(image.deps)
        with locked(cache_dir() / "locks" / "images", waiting_for="an image build"):
            _ensure_base()
            if not exists(reference):
                with step(f"image {image.name}"):
                    _bud(image, context, reference)
    return reference


def _bud(image: Image, context: Path, reference: str) -> None:
    """`--layers` keeps every step's layer; chroot isolation and the host's network need no engine."""
    command = [
        *buildah_command(),
        "bud",
        "--layers",
        "--isolation",
        "chroot",
        "--network",
        "host",
        "--pull=never",
    ]
    command += ["--file", str(context / image.dockerfile), "--tag", reference]
    command += ["--build-arg", f"BASE_IMAGE={base_ref()}"]
    if image.deps:
        # In place of the stage of that name, which buildah would hash for 5 s to find it unchanged.
        command += ["--build-context", f"deps=container-image://{ref(image.deps)}"]
    command += [word for pair in image.arguments.items() for word in ("--build-arg", "=".join(pair))]
    if image.target:
        command += ["--target", image.target]
    for name in PIP_VARIABLES:
        if value := os.environ.get(name):
            command += ["--build-arg", f"{name}={value}"]
    if (certificates := os.environ.get("PIP_CERT")) and Path(certificates).is_file():
        command += ["--volume", f"{certificates}:{certificates}:ro"]
    _logged([*command, str(context)], f"image-{image.name}")


def _ensure_base() -> None:
    """Debian 13 with Python and nothing else; a killed build leaves only a file to overwrite."""
    reference = base_ref()
    if exists(reference):
        return
    archive = cache_dir() / "base.tar"
    options = [*BASE_OPTIONS, f"--include={','.join(BASE_PACKAGES)}"]
    with step("image base: Debian 13 with Python (about a minute)"):
        _logged(["mmdebstrap", *options, SUITE, str(archive)], "image-base")
        buildah = buildah_command()
        container = output([*buildah, "from", "scratch"])
        try:
            _logged([*buildah, "add", "--quiet", container, str(archive), "/"], "image-base")
            path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
            _logged([*buildah, "config", "--env", path, "--cmd", "python3", container], "image-base")
            _logged([*buildah, "commit", "--quiet", container, reference], "image-base")
        finally:
            subprocess.run([*buildah, "rm", container], capture_output=True)
            archive.unlink(missing_ok=True)


def prune() -> None:
    """Removes every image of ours but the current ones, with the layers that only they had."""
    kept = {base_ref(), *refs(IMAGES).values(), *(ref(i.deps) for i in IMAGES.values() if i.deps)}
    listed = output([*buildah_command(), "images", "--format", "{{.Name}}:{{.Tag}}"]).split()
    old = [name for name in listed if name.startswith(f"{REPOSITORY_NAME}/") and name not in kept]
    with locked(cache_dir() / "locks" / "images", waiting_for="an image build"):
        # What killed builds left; by the name that buildah gives, so that nobody's named container goes.
        for name in output([*buildah_command(), "containers", "--format", "{{.ContainerName}}"]).split():
            if name.endswith("-working-container"):
                subprocess.run([*buildah_command(), "rm", name], capture_output=True)
        for name in old:
            subprocess.run([*buildah_command(), "rmi", name], capture_output=True)
        subprocess.run([*buildah_command(), "rmi", "--prune"], capture_output=True)
    say(f"  removed {len(old)} images; kept {len(kept)}")


def _image(name: str) -> Image:
    if name not in IMAGES:
        raise ClusterError(f"no image {name!r}: there are {', '.join(IMAGES)}")
    return IMAGES[name]


def _files_below(root: Path) -> list[Path]:
    return sorted(p.relative_to(root) for p in root.rglob("*") if p.is_file())


def _normalise(folder: Path) -> None:
    """The same modes and times whatever the umask and the checkout: the layer cache compares them."""
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (0, 0))


def _hash(parts: Iterable[str | bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:12]


def _require(*commands: str) -> None:
    if lacking := sorted({p for need, p in packages.missing().items() if need in commands}):
        packages.install(lacking)


def output(command: list[str]) -> str:
    """What a command printed. Raises ClusterError with what it complained about."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()[-800:]}")
    return done.stdout.strip()


def _logged(command: list[str], name: str) -> None:
    """Runs `command` with its output in a log; on failure shows the log's end and raises ClusterError."""
    log = cache_dir() / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as stream:
        code = subprocess.run(
            command, stdout=stream, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        ).returncode
    if code:
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]:
            say(f"    {line}")
        raise ClusterError(f"{name}: {command[0]} ended with {code}; the whole log is {log}")


if __name__ == "__main__":
    from .images_cli import main

    raise SystemExit(main())
