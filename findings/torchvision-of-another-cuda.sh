#!/bin/sh
# torchvision 0.29.2 says by metadata that it fits torch 2.14 (torch>=2.14.0), and pip chooses it for torch 2.14.1;
# but its wheel is built with CUDA 13.2 and torch 2.14.1's with CUDA 13.0. 0.29.1 is the one of the same CUDA.
# Remedy: pin the pair, and compare torch.version.cuda with torchvision.__version__ in a test.
set -eu
PIP=26.3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "pip==$PIP"
"$folder/venv/bin/pip" --version

# Python 3.13 for glibc 2.28, without what torch needs: some GB that decide nothing here.
for version in 0.29.1 0.29.2; do
    "$folder/venv/bin/pip" download --quiet --no-deps --only-binary :all: --implementation cp \
        --python-version 3.13 --platform manylinux_2_28_x86_64 --dest "$folder" "torchvision==$version"
done
python3 - "$folder" <<'PYTHON'
import pathlib, re, sys, zipfile

want = {"0.29.1": ("0.29.1+cu130", "torch>=2.14.0"), "0.29.2": ("0.29.2+cu132", "torch>=2.14.0")}
for version, expected in want.items():
    (wheel,) = pathlib.Path(sys.argv[1]).glob(f"torchvision-{version}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        built = re.search(r"__version__ = '(.+)'", archive.read("torchvision/version.py").decode())[1]
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        asks = re.search(r"^Requires-Dist: (torch\W.*)$", archive.read(metadata).decode(), re.M)[1]
    found = built, re.sub(r"[ ()]", "", asks)
    print(f"torchvision {version}: built as {found[0]}, asks for {found[1]}")
    if found != expected:
        sys.exit(f"CHANGED: want {expected}")
PYTHON
