"""The device plugin of one extended resource, on a real kubelet.

Its socket lies in the kubelet's `plugins_registry`, which belongs to the node: the folder of the older way,
/var/lib/kubelet/device-plugins, would be that of all nodes of the machine. A kubelet that starts again finds
the socket there and registers the plugin anew by itself.
https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/ (v1beta1)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from . import wire
from .devices import Device, build_mounts, build_variables

REGISTRATION = "pluginregistration.Registration"
PLUGIN = "v1beta1.DevicePlugin"
_LOOK_EVERY = 1.0  # seconds, whether the kubelet still listens


class DevicePlugin:
    """Serves devices of `resource`; `folder` of the node is what containers with them see."""

    def __init__(self, kubelet_root: Path, resource: str, folder: Path) -> None:
        self.resource = resource
        self._folder = folder
        self._changed = threading.Condition()
        self._devices: tuple[Device, ...] = ()
        self._left = False
        # ListAndWatch holds a thread for as long as a kubelet listens.
        self._server = grpc.server(ThreadPoolExecutor(8), handlers=self._handlers())
        socket = kubelet_root / "plugins_registry" / f"{resource.rpartition('/')[2]}.sock"
        self._server.add_insecure_port(f"unix:{socket}")

    def start(self, devices: Sequence[Device]) -> None:
        """Serves these devices from now on."""
        self.offer(devices)
        self._server.start()

    def offer(self, devices: Sequence[Device]) -> None:
        """Tells the kubelet, if it listens, that these are now all devices."""
        with self._changed:
            if self._devices != (offered := tuple(devices)):
                self._devices = offered
                self._changed.notify_all()

    def stop(self) -> None:
        """Leaves: the devices are no longer allocatable."""
        with self._changed:
            self._left = True
            self._changed.notify_all()
        self._server.stop(grace=None).wait()

    def _handlers(self) -> list[grpc.GenericRpcHandler]:
        def unary(answer: Callable[[bytes], bytes]) -> grpc.RpcMethodHandler:
            return grpc.unary_unary_rpc_method_handler(lambda request, _: answer(request))

        registration = {
            "GetInfo": unary(lambda _: wire.encode_info(self.resource)),
            "NotifyRegistrationStatus": unary(lambda _: b""),
        }
        plugin = {
            "GetDevicePluginOptions": unary(lambda _: b""),
            "ListAndWatch": grpc.unary_stream_rpc_method_handler(lambda _, context: self._list(context)),
            "Allocate": unary(self._allocate),
        }
        services = {REGISTRATION: registration, PLUGIN: plugin}
        return [grpc.method_handlers_generic_handler(name, methods) for name, methods in services.items()]

    def _list(self, context: grpc.ServicerContext) -> Iterator[bytes]:
        """All devices at first and after each change, for as long as the kubelet listens."""
        told: tuple[Device, ...] | None = None
        while not self._left and context.is_active():
            with self._changed:
                if told == self._devices:
                    self._changed.wait(_LOOK_EVERY)
                devices = self._devices
            if told != devices:
                told = devices
                yield wire.encode_devices(devices)

    def _allocate(self, request: bytes) -> bytes:
        mounts = build_mounts(self._folder)
        return wire.encode_allocated(
            [(build_variables(devices), mounts) for devices in wire.decode_allocate(request)]
        )
