"""The GPU agent: one a node, tells what its GPUs do and which container the kubelet gave them to."""
