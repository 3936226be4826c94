"""The command line of `cluster.images`."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from . import images, packages, pins, sandbox
from .paths import REPOSITORY, ClusterError
from .progress import say, step

SCHEMA = REPOSITORY / "crds/yolo_crds/schema.json"
TESTS = "tests/trainer"
SMALL_DISK = "/small"


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m cluster.images", description="The product's images, built here."
    )
    commands = top.add_subparsers(dest="command", required=True)
    for name, text in (
        ("build", "build what is missing; prints name -> reference as JSON"),
        ("refs", "print the references without building"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(images.IMAGES)}")
    pin = commands.add_parser(
        "pin", help="resolve pyproject's ranges anew and write the requirements.txt files"
    )
    pin.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(pins.FILES)}")
    commands.add_parser("prune", help="remove images of earlier contents from buildah's storage")
    schema = commands.add_parser(
        "schema", help=f"write {SCHEMA.relative_to(REPOSITORY)} from the trainer image"
    )
    schema.add_argument("--check", action="store_true", help="compare instead; exit 1 if it would change")
    test = commands.add_parser("test-trainer", help=f"run {TESTS} in the trainer's image, without network")
    test.epilog = "All further arguments go to pytest."
    faults = commands.add_parser(
        "faults-trainer", help="kill trainings at many points in the trainer's image, and resume them"
    )
    faults.epilog = "All further arguments go to tests.trainer.faults."
    run = commands.add_parser("run", help="run a command in an image, without network, read-only")
    run.add_argument("name", metavar="NAME")
    run.epilog = "All further arguments are the command."
    return top


def main() -> int:
    arguments, rest = parser().parse_known_args()
    if rest and arguments.command not in ("run", "test-trainer", "faults-trainer"):
        parser().error(f"unknown arguments: {' '.join(rest)}")
    # As an exit, so that a container that was started is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return _run(arguments, rest)
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130


def _run(arguments: argparse.Namespace, rest: list[str]) -> int:
    match arguments.command:
        case "build":
            print(json.dumps(images.build(arguments.names or images.DEFAULT), indent=2))
        case "refs":
            print(json.dumps(images.refs(arguments.names or images.DEFAULT), indent=2))
        case "pin":
            for name in arguments.names or pins.FILES:
                with step(f"pins of {name}"):
                    pins.write(name)
        case "prune":
            images.prune()
        case "schema":
            return schema(check=arguments.check)
        case "test-trainer":
            return test_trainer(rest)
        case "faults-trainer":
            return in_trainer(["python", "-m", "tests.trainer.faults", *rest])
        case "run":
            return in_image(arguments.name, rest, sandbox.Mounts())
    return 0


def in_image(
    name: str,
    command: list[str],
    mounts: sandbox.Mounts,
    env: dict[str, str] | None = None,
    workdir: str = "/tmp",
    limits: sandbox.Limits = sandbox.NO_LIMITS,
) -> int:
    """Builds the image if need be and runs `command` in it; its exit code."""
    if lacking := sorted({p for need, p in packages.missing().items() if need in {"runc", "ip"}}):
        packages.install(lacking)
    reference = images.build([name])[name]
    return sandbox.run(reference, command, mounts, env or {}, workdir, limits)


def test_trainer(arguments: list[str]) -> int:
    """pytest on tests/trainer in the trainer's image; pytest's exit code."""
    command = ["python", "-m", "pytest", "--rootdir=/repo", "--config-file=/repo/pyproject.toml"]
    command += ["-p", "no:cacheprovider", *arguments]
    if not any(argument.startswith("tests/") for argument in arguments):
        command.append(TESTS)
    return in_trainer(command)


def in_trainer(command: list[str]) -> int:
    """Runs a command with the repository mounted read-only at /repo, and a disk that it may fill."""
    folders = ("crds", "operator", "trainer-image", "tests")
    path = ":".join([*(f"/repo/{folder}" for folder in folders), "/opt/test", "/repo"])
    mounts = sandbox.Mounts(read_only={"/repo": REPOSITORY}, small={SMALL_DISK: "64m"})
    env = {"PYTHONPATH": path, "SMALL_DISK": SMALL_DISK, "YOLO_TEST_GPU": "stand-in"}
    return in_image("trainer-test", command, mounts, env, workdir="/repo")


def schema(*, check: bool) -> int:
    """Exports the installed Ultralytics' schema; with `check`, 1 if the committed file differs."""
    with tempfile.TemporaryDirectory(prefix="yolo-schema-") as folder:
        Path(folder).chmod(0o777)
        mounts = sandbox.Mounts(
            read_only={"/export": REPOSITORY / "trainer-image/export_schema.py"},
            writable={"/out": Path(folder)},
        )
        if code := in_image("trainer-test", ["python", "/export", "/out/schema.json"], mounts):
            return code
        new = Path(folder, "schema.json")
        if check:
            same = SCHEMA.exists() and new.read_bytes() == SCHEMA.read_bytes()
            say(
                f"  {SCHEMA.name}: {'up to date' if same else 'differs: run python -m cluster.images schema'}"
            )
            return 0 if same else 1
        shutil.copyfile(new, SCHEMA)
        say(f"  wrote {SCHEMA.relative_to(REPOSITORY)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
