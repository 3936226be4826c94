"""A kubelet's pod-resources socket for tests: real gRPC, answers given as plain values."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import grpc

Field = tuple[int, "str | list[Field]"]
"""A field of a message by its number: a string, or a message."""


def encode(fields: Iterable[Field]) -> bytes:
    """A protobuf message: https://protobuf.dev/programming-guides/encoding/"""
    message = b""
    for number, value in fields:
        body = value.encode() if isinstance(value, str) else encode(value)
        message += _number(number << 3 | 2) + _number(len(body)) + body
    return message


def _number(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + _number(value >> 7)


def holder(pod: str, *devices: str, resource: str = "nvidia.com/gpu", namespace: str = "team") -> Field:
    """A pod (PodResources) whose container `trainer` was given devices by a device plugin."""
    given: Field = (2, [(1, resource), *((2, device) for device in devices)])
    return (1, [(1, pod), (2, namespace), (3, [(1, "trainer"), given])])


def claimer(pod: str, device: str, cdi: str = "", driver: str = "gpu.nvidia.com") -> Field:
    """The same by DRA: `device` of that driver's pool, as the CDI device `cdi`."""
    claimed: list[Field] = [(1, [(1, cdi)]), (2, driver), (3, "node-1"), (4, device)]
    dynamic: Field = (5, [(2, "claim"), (3, "team"), (4, claimed)])
    return (1, [(1, pod), (2, "team"), (3, [(1, "trainer"), dynamic])])


class Kubelet:
    """Serves pod-resources v1 at `socket` while entered; `pods` may change meanwhile."""

    def __init__(self, socket: Path, *pods: Field) -> None:
        self.socket, self.pods = socket, list(pods)
        self._server = grpc.server(ThreadPoolExecutor(2))
        answer = grpc.unary_unary_rpc_method_handler(lambda *_: encode(self.pods))
        service = grpc.method_handlers_generic_handler("v1.PodResourcesLister", {"List": answer})
        self._server.add_generic_rpc_handlers([service])
        self._server.add_insecure_port(f"unix:{socket}")

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(grace=None).wait()
