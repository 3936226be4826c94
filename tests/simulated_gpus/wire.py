"""Protobuf messages of the device plugin API, as bytes: https://protobuf.dev/programming-guides/encoding/

By hand, since a handful of messages needs no generated code, whose version ties protobuf's and grpcio's.
Field numbers are those of k8s.io/kubelet's pluginregistration/v1 and deviceplugin/v1beta1 `api.proto`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .devices import Device

HEALTH = {True: b"Healthy", False: b"Unhealthy"}


def encode_info(resource: str) -> bytes:
    """PluginInfo: type, name, endpoint (none: the socket that was asked), versions."""
    return _field(1, b"DevicePlugin") + _field(2, resource.encode()) + _field(4, b"v1beta1")


def encode_devices(devices: Sequence[Device]) -> bytes:
    """ListAndWatchResponse: all devices with their health."""
    return b"".join(
        _field(1, _field(1, device.id.encode()) + _field(2, HEALTH[device.healthy])) for device in devices
    )


def decode_allocate(request: bytes) -> list[list[str]]:
    """AllocateRequest: for each container the devices that it shall get."""
    return [[device.decode() for device in _values(container)] for container in _values(request)]


def encode_allocated(containers: Sequence[tuple[Mapping[str, str], Mapping[str, Path]]]) -> bytes:
    """AllocateResponse: for each container variables, and the node's folders by where they appear."""
    return b"".join(_field(1, _container(variables, mounts)) for variables, mounts in containers)


def _container(variables: Mapping[str, str], mounts: Mapping[str, Path]) -> bytes:
    pairs = (_field(1, name.encode()) + _field(2, value.encode()) for name, value in variables.items())
    read_only = b"\x18\x01"  # field 3, a bool
    places = (
        _field(1, place.encode()) + _field(2, str(folder).encode()) + read_only
        for place, folder in mounts.items()
    )
    return b"".join([*(_field(1, pair) for pair in pairs), *(_field(2, place) for place in places)])


def _field(number: int, value: bytes) -> bytes:
    """A length-delimited field."""
    head, size = number << 3 | 2, len(value)
    length = bytearray()
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([head, *length, size]) + value


def _values(message: bytes) -> Iterator[bytes]:
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
