"""Which node this process's is, of how many: as torchrun tells it, and `supervise.nodes`."""

from __future__ import annotations

import os

NODE_RANK = int(os.environ.get("GROUP_RANK", "0"))
NODES = int(os.environ.get("GROUP_WORLD_SIZE", "1"))
