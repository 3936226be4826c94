"""`python -m bench.data [IMAGES]`: what `make bench-data` calls; exit code 1 when a promise is missed."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from cluster import ClusterError, images_cli, sandbox
from cluster.paths import REPOSITORY
from cluster.progress import say

BYTES_PER_IMAGE = 48 << 10
"""Of the pictures, their labels and the prepared sets."""
MEMORY_BYTES = 4 << 30
"""For the label files of the memory measurements."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.data", description=__doc__)
    parser.add_argument("images", type=int, nargs="?", default=50_000, help="at least 100 (default: 50000)")
    images = parser.parse_args().images
    if images < 100:
        parser.error(f"{images} images are too few to measure anything; want at least 100")
    folder = Path(tempfile.gettempdir()) / "yolo-operator-bench"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)  # the image's user writes into it
    need, free = images * BYTES_PER_IMAGE + MEMORY_BYTES, shutil.disk_usage(folder).free
    if free < need:
        say(f"error: {folder} has {free >> 20} MiB free; {images} images need {need >> 20} MiB")
        return 1
    mounts = sandbox.Mounts(read_only={"/repo": REPOSITORY}, writable={"/bench": folder})
    command = ["python", "-m", "bench.data.run", "/bench", str(images)]
    try:
        return images_cli.in_image("trainer", command, mounts, {"PYTHONPATH": "/opt/app:/repo/tests"})
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    finally:
        say(f"  the pictures are kept for the next time: rm -r {folder} removes them")


if __name__ == "__main__":
    sys.exit(main())
