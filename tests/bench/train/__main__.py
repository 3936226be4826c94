"""`python -m bench.train`: what `make bench-train` calls; exit code 1 when a promise is missed."""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from cluster import ClusterError, images_cli, sandbox
from cluster.paths import REPOSITORY
from cluster.progress import say
from demo.digits import make_pictures, write_yolo_folder

LIMITS = sandbox.Limits(cpus=2, memory=4 << 30)
PICTURES = {"train": 200, "val": 50}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.train", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=3, help="a training of each side in every one (default: 3)"
    )
    parser.add_argument("--epochs", type=int, default=10, help="of each training (default: 10)")
    parser.add_argument("--steps", action="store_true", help="only single steps, by threads and spinning")
    arguments = parser.parse_args()
    if min(arguments.rounds, arguments.epochs) < 1:
        parser.error("want at least one round and one epoch")
    # As an exit, so that the container is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if arguments.steps:
        return _in_image(["python", "-m", "bench.train.step"], {})
    with tempfile.TemporaryDirectory(prefix="yolo-operator-bench-") as name:
        folder = Path(name)
        folder.chmod(0o777)  # the image's user writes into it
        splits = {split: list(make_pictures(split, count)) for split, count in PICTURES.items()}
        write_yolo_folder(folder / "volume", "digits", splits)
        numbers = [str(n) for n in (arguments.rounds, arguments.epochs, PICTURES["train"])]
        return _in_image(["python", "-m", "bench.train.run", "/bench", *numbers], {"/bench": folder})


def _in_image(command: list[str], writable: dict[str, Path]) -> int:
    mounts = sandbox.Mounts(read_only={"/repo": REPOSITORY}, writable=writable)
    try:
        environment = {"PYTHONPATH": "/opt/app:/repo/tests"}
        return images_cli.in_image("trainer", command, mounts, environment, limits=LIMITS)
    except ClusterError as error:
        say(f"error: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
