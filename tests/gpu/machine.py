"""What the machine has for `make test-gpu`, and what it lacks: `python -m gpu.machine [requirements]`.

With the standard library alone, before anything is installed.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

_PROJECT = Path(__file__).parents[2] / "pyproject.toml"
_EXTRAS = ("trainer", "api")
_TEST_TOOLS = ("pytest>=9", "pytest-asyncio>=1.3", "pytest-timeout>=2.4", "numpy>=2")
_OF_THE_MACHINE = ("torch", "torchvision")
"""Never installed: built for the machine's driver, and gigabytes."""


def requirements() -> list[str]:
    """What trainings, agent and tests import, as pip takes it, without torch."""
    project = tomllib.loads(_PROJECT.read_text())["project"]
    wanted = [*project["dependencies"], *_TEST_TOOLS]
    for extra in _EXTRAS:
        wanted += project["optional-dependencies"][extra]
    names = tuple(f"{name}{sign}" for name in _OF_THE_MACHINE for sign in "<>=!~ ")
    return sorted({text for text in wanted if not text.startswith(names)})


def what_is_wrong() -> str | None:
    """Why no test can run here, in a sentence; None where they can."""
    try:
        import torch
    except ImportError:
        return f"{sys.executable} has no torch; name a Python with torch for CUDA: make test-gpu PYTHON=…"
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA"
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} sees no GPU: is there one, and its driver (nvidia-smi)?"
    return None


def describe() -> str:
    """What the tests run on."""
    import torch

    cards = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    found = subprocess.run(
        ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"], capture_output=True, text=True
    )
    driver = next(iter(found.stdout.splitlines()), "unknown")
    versions = f"Python {sys.version.split()[0]}, torch {torch.__version__}, CUDA {torch.version.cuda}"
    return f"{versions}, driver {driver}: {', '.join(cards)}"


def main() -> int:
    """The exit code: 1 where no test can run."""
    if sys.argv[1:] == ["requirements"]:
        print("\n".join(requirements()))
        return 0
    if wrong := what_is_wrong():
        print(f"test-gpu: {wrong}", file=sys.stderr)
        return 1
    print(describe())
    return 0


if __name__ == "__main__":
    sys.exit(main())
