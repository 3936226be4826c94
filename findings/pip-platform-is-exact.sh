#!/bin/sh
# pip's --platform manylinux_2_28_x86_64 takes no wheel tagged for an older glibc by PEP 600 (here 2.18), though
# pip on a machine with glibc 2.28 or newer installs it. Resolving for another machine then says that there is no
# such version, or quietly goes back to a release whose dependencies happen to have other tags: torch 2.10
# instead of 2.15. Remedy: name every tag, manylinux_2_28 down to manylinux_2_5.
set -eu
PIP=26.3
PACKAGE=nvidia-nccl-cu13==2.30.7
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "pip==$PIP"
"$folder/venv/bin/pip" --version

resolve() {
    "$folder/venv/bin/pip" install --dry-run --quiet --no-deps --ignore-installed --only-binary :all: \
        --implementation py --python-version 3.13 --target "$folder/none" "$@" "$PACKAGE" 2>"$folder/error"
}

if resolve --platform manylinux_2_18_x86_64; then
    echo "manylinux_2_18_x86_64: $PACKAGE found"
else
    cat "$folder/error"
    echo "CHANGED: not found for the platform of its own tag"
    exit 1
fi
if resolve --platform manylinux_2_28_x86_64; then
    echo "CHANGED: found for manylinux_2_28_x86_64 as well"
    exit 1
fi
grep -q "No matching distribution found" "$folder/error"
echo "manylinux_2_28_x86_64: no matching distribution"
