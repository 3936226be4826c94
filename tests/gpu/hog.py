"""Holds a GPU's memory but for so many MiB until its standard input ends: `python -m gpu.hog MIB`."""

import sys

import torch


def main() -> None:
    left = int(sys.argv[1]) << 20
    torch.cuda.init()
    free, _ = torch.cuda.mem_get_info()
    held = torch.empty(max(0, free - left), dtype=torch.uint8, device="cuda")
    print(f"holds {held.numel() >> 20} MiB", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
