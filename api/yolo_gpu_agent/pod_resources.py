"""Asks the kubelet which container it gave which device: the pod-resources API, v1.

https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/#monitoring-device-plugin-resources
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import grpc

from . import wire

LIST = "/v1.PodResourcesLister/List"
SECONDS = 3.0
"""Longest wait for the kubelet's answer."""
MAX_BYTES = 64 << 20
"""Largest answer; gRPC's own 4 MiB can be too small on a node with very many pods."""

# Names and numbers: k8s.io/kubelet, pkg/apis/podresources/v1/api.proto.
_DEVICES: wire.Schema = {1: ("resource_name", None), 2: ("device_ids", None)}
_CLAIMED: wire.Schema = {
    1: ("cdi_devices", {1: ("name", None)}),
    2: ("driver_name", None),
    4: ("device_name", None),
}
_CONTAINER: wire.Schema = {
    1: ("name", None),
    2: ("devices", _DEVICES),
    5: ("dynamic_resources", {4: ("claim_resources", _CLAIMED)}),
}
_POD: wire.Schema = {1: ("name", None), 2: ("namespace", None), 3: ("containers", _CONTAINER)}
_ANSWER: wire.Schema = {1: ("pod_resources", _POD)}


class KubeletError(Exception):
    """The kubelet did not tell; in words for who runs the node."""


@dataclass(frozen=True)
class Allocation:
    """One device of one container."""

    namespace: str
    pod: str
    container: str
    resource: str
    """Extended resource such as `nvidia.com/gpu`, or the DRA driver such as `gpu.nvidia.com`."""
    device: str
    """Id as the device plugin or DRA driver named it."""
    aliases: tuple[str, ...] = ()
    """Further names of the same device (CDI)."""


def parse_answer(answer: bytes) -> list[Allocation]:
    """All devices of all containers, those of device plugins and those of DRA. Raises KubeletError."""
    try:
        pods = wire.parse(answer, _ANSWER)["pod_resources"]
    except wire.WireError as error:
        raise KubeletError(f"the kubelet's answer cannot be read: {error}") from None
    found = []
    for pod in pods:
        for container in pod["containers"]:
            owner = (wire.text(pod, "namespace"), wire.text(pod, "name"), wire.text(container, "name"))
            for devices in container["devices"]:
                resource = wire.text(devices, "resource_name")
                found += [Allocation(*owner, resource, device) for device in devices["device_ids"]]
            for dynamic in container["dynamic_resources"]:
                for claimed in dynamic["claim_resources"]:
                    aliases = tuple(wire.text(cdi, "name") for cdi in claimed["cdi_devices"])
                    names = (wire.text(claimed, "driver_name"), wire.text(claimed, "device_name"))
                    found.append(Allocation(*owner, *names, aliases))
    return found


def list_allocations(socket: Path, seconds: float = SECONDS) -> list[Allocation]:
    """What the kubelet says. A new connection each time, since the socket is a new one after its restart.

    Raises KubeletError.
    """
    try:
        socket.stat()
    except FileNotFoundError:
        raise KubeletError(
            f"the kubelet's socket {socket} is not there: is its folder mounted (gpuAgent.kubeletRoot)?"
        ) from None
    except OSError as error:
        raise KubeletError(f"the kubelet's socket {socket} cannot be reached: {error.strerror}") from None
    options = [("grpc.max_receive_message_length", MAX_BYTES), ("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(f"unix:{socket}", options=options) as channel:
        ask = channel.unary_unary(LIST, request_serializer=None, response_deserializer=None)
        try:
            answer: bytes = ask(b"", timeout=seconds)
        except grpc.RpcError as error:
            code = error.code().name if isinstance(error, grpc.Call) else "UNKNOWN"
            raise KubeletError(f"the kubelet does not answer at {socket}: {code}") from None
    return parse_answer(answer)
