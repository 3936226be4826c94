"""A node's GPUs and who holds them, as the node's agent tells the façade (`GET /gpus`).

Each measured value may be missing (None) by itself: a card, a driver or a MIG device need not have it.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, Field

from .base import Lenient, ShortText

AGENT_PORT = 8085
REPORT_PATH = "/gpus"


class Health(StrEnum):
    """Whether a GPU can be worked with."""

    OK = "ok"
    FAULTY = "faulty"
    """The driver wants it reset, drained or the node restarted, or told an Xid that means so."""
    LOST = "lost"
    """The driver cannot reach it any more."""


def _known_health(value: object) -> object:
    """Whatever a newer agent means by another word, it is not `ok`; a façade may be of an older release."""
    return Health.FAULTY if isinstance(value, str) and value not in list(Health) else value


class Gap(StrEnum):
    """Why a report has no GPUs, or only those of an earlier look."""

    NO_GPUS = "NoGpus"
    LIBRARY_NOT_FOUND = "LibraryNotFound"
    DRIVER_NOT_LOADED = "DriverNotLoaded"
    VERSION_MISMATCH = "VersionMismatch"
    OLD_DRIVER = "OldDriver"
    NO_PERMISSION = "NoPermission"
    NOT_ANSWERING = "NotAnswering"
    ERROR = "Error"


class Holder(Lenient):
    """A container that the kubelet gave a device to."""

    namespace: ShortText
    pod: ShortText
    container: ShortText
    resource: ShortText = ""
    """The extended resource, or the DRA driver."""
    device: ShortText
    """The device's id as the kubelet knows it."""


class GpuProcess(Lenient):
    """A process on a GPU. memory: bytes; None where the driver does not tell."""

    pid: int
    memory: int | None = None
    kind: ShortText
    """`compute` or `graphics`."""


class Xid(Lenient):
    """An error that the driver told about a GPU: https://docs.nvidia.com/deploy/xid-errors/"""

    code: int
    at: AwareDatetime


class MigDevice(Lenient):
    """A part of a GPU that is handed out by itself. Memory in bytes."""

    uuid: ShortText
    name: ShortText | None = None
    gpu_instance: int | None = None
    profile_id: int | None = None
    """NVML's GPU instance profile, such as 19 for the smallest."""
    placement: int | None = None
    """The first of its memory slices. The driver tells neither to everybody."""
    memory_used: int | None = None
    memory_total: int | None = None
    holders: tuple[Holder, ...] = ()


class Gpu(Lenient):
    """One GPU. Memory in bytes, utilization in percent, temperature in degrees Celsius, power in watts."""

    index: int = Field(ge=0)
    """NVML's, by PCI address."""
    minor: int | None = None
    """N of /dev/nvidiaN."""
    uuid: ShortText | None = None
    """None when it was lost before it could be asked."""
    name: ShortText | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    utilization: float | None = None
    temperature: float | None = None
    power_draw: float | None = None
    recovery_action: int | None = None
    """NVML's field 230: 0 none, 1 reset the GPU, 2 restart the node, 3 drain P2P, 4 drain and reset."""
    processes: tuple[GpuProcess, ...] | None = None
    health: Annotated[Health, BeforeValidator(_known_health)] = Health.OK
    xids: tuple[Xid, ...] = ()
    """The newest ones since the agent started, oldest first."""
    mig_enabled: bool | None = None
    mig_devices: tuple[MigDevice, ...] = ()
    holders: tuple[Holder, ...] = ()
    """Of the GPU as a whole; those of its MIG devices stand there. Several when it is shared in time."""


class NodeReport(Lenient):
    """What an agent last saw on its node."""

    node: ShortText
    age: float = Field(default=0.0, ge=0)
    """Seconds since the agent looked."""
    driver_version: ShortText | None = None
    gap: ShortText | None = None
    """A `Gap`; None when all is well."""
    message: str | None = Field(default=None, max_length=2048)
    """The gap in words, with what to do."""
    gpus: tuple[Gpu, ...] = ()
    holders_known: bool = True
    """Whether the kubelet told who holds what; if not, no holders does not mean free."""
    holders_message: str | None = Field(default=None, max_length=2048)
    """Why it did not."""
    other_holders: tuple[Holder, ...] = ()
    """Of devices that no GPU here was recognised by."""
