"""A device plugin without devices: what stands between a pod that asks for GPUs and a container with them.

It registers below the kubelet's own folder, since all nodes of the machine share the one in /var/lib/kubelet.
https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/ (v1beta1)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc

REGISTRATION = "pluginregistration.Registration"
PLUGIN = "v1beta1.DevicePlugin"


class DevicePlugin:
    """Serves devices of one extended resource, such as `nvidia.com/gpu`, to a node's kubelet while entered.

    A container that gets device `0` is given the CDI device `nvidia.com/gpu=0`.
    """

    def __init__(self, kubelet_root: Path, resource: str, devices: Sequence[str]) -> None:
        self._resource = resource
        self._devices = devices
        self._left = threading.Event()
        # ListAndWatch holds a thread for as long as the kubelet listens.
        self._server = grpc.server(ThreadPoolExecutor(4), handlers=self._handlers())
        socket = kubelet_root / "plugins_registry" / f"{resource.replace('/', '-')}.sock"
        self._server.add_insecure_port(f"unix:{socket}")

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._left.set()
        self._server.stop(grace=None).wait()

    def _handlers(self) -> list[grpc.GenericRpcHandler]:
        def unary(answer: Callable[[bytes], bytes]) -> grpc.RpcMethodHandler:
            return grpc.unary_unary_rpc_method_handler(lambda request, _: answer(request))

        registration = {
            "GetInfo": unary(lambda _: self._info()),
            "NotifyRegistrationStatus": unary(lambda _: b""),
        }
        plugin = {
            "GetDevicePluginOptions": unary(lambda _: b""),
            "ListAndWatch": grpc.unary_stream_rpc_method_handler(lambda *_: self._list()),
            "Allocate": unary(self._allocate),
        }
        services = {REGISTRATION: registration, PLUGIN: plugin}
        return [grpc.method_handlers_generic_handler(name, methods) for name, methods in services.items()]

    def _info(self) -> bytes:
        """PluginInfo: type, name, endpoint (none: this socket), versions."""
        return _field(1, b"DevicePlugin") + _field(2, self._resource.encode()) + _field(4, b"v1beta1")

    def _list(self) -> Iterator[bytes]:
        """ListAndWatchResponse: the devices (ID, health), once, since nothing befalls them."""
        yield b"".join(_field(1, _field(1, name.encode()) + _field(2, b"Healthy")) for name in self._devices)
        self._left.wait()

    def _allocate(self, request: bytes) -> bytes:
        """AllocateResponse: for each container the CDI names of its devices."""
        return b"".join(
            _field(1, b"".join(_field(5, _field(1, self._cdi_name(device))) for device in _fields(container)))
            for container in _fields(request)
        )

    def _cdi_name(self, device: bytes) -> bytes:
        return f"{self._resource}=".encode() + device


def _field(number: int, value: bytes) -> bytes:
    """A length-delimited field of a protobuf message: https://protobuf.dev/programming-guides/encoding/"""
    head, size = number << 3 | 2, len(value)
    length = bytearray()
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([head, *length, size]) + value


def _fields(message: bytes) -> Iterator[bytes]:
    """The values of a message that has nothing but length-delimited fields of one kind."""
    while message:
        size, shift, at = 0, 0, 1
        while True:
            byte = message[at]
            size |= (byte & 127) << shift
            shift, at = shift + 7, at + 1
            if byte < 128:
                break
        yield message[at : at + size]
        message = message[at + size :]
