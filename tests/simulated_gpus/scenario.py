"""What a node's simulated GPUs are and what befalls them: a JSON file a node, read by plugin and NVML alike.

The file is whole at any moment (written aside and renamed), so whoever reads it may do so at any time.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ByteSize, ConfigDict, Field, ValidationError, model_validator

from cluster.files import write_text
from cluster.locks import locked
from cluster.paths import ClusterError

# A name's namespace, so that a node's GPUs have the same UUIDs at each start.
_UUIDS = uuid.UUID("2b0a7f4e-6f0c-4d55-9a3e-0f8d6c1b7a90")
_PLAIN = r'^[^"\\]+$'
FALLEN_OFF_THE_BUS = 79
APPLICATION_XIDS = frozenset({13, 31, 43, 45, 68, 109})
"""Xids by which NVIDIA's device plugin leaves a GPU healthy; it never heals one by itself.

https://github.com/NVIDIA/k8s-device-plugin, internal/rm/health.go
"""

Bytes = Annotated[ByteSize, Field(ge=0)]
Percent = Annotated[int, Field(ge=0, le=100)]
Count = Annotated[int, Field(ge=0)]
Valid = TypeVar("Valid", bound=BaseModel)


class Library(StrEnum):
    """What befalls NVML as a whole."""

    OK = "ok"
    MISSING = "missing"
    NOT_LOADED = "not-loaded"
    MISMATCH = "mismatch"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Process(_Model):
    """A process on a GPU. memory: bytes; None where the driver does not tell."""

    pid: Annotated[int, Field(gt=0)]
    memory: Bytes | None = None
    kind: Literal["compute", "graphics"] = "compute"


class MigDevice(_Model):
    """A part of a GPU, by its profile, such as `1g.10gb`; memory in bytes."""

    uuid: Annotated[str, Field(pattern=r"^MIG-[0-9A-Za-z-]+$", max_length=80)]
    profile: Annotated[str, Field(pattern=r"^\d+g\.\d+gb$")]
    profile_id: Count | None = None
    """NVML's GPU instance profile, such as 19 for 1g.10gb."""
    placement: Count | None = None
    """The first of its memory slices; None: the driver does not tell this user."""
    memory_total: Bytes
    memory_used: Bytes | None = ByteSize(0)


class Gpu(_Model):
    """One GPU. A value that is None is one that the card lacks: NVML answers NOT_SUPPORTED."""

    uuid: Annotated[str, Field(pattern=r"^GPU-[0-9A-Za-z-]+$", max_length=80)]
    name: Annotated[str, Field(pattern=_PLAIN, max_length=60)] = "NVIDIA H100 80GB HBM3"
    memory_total: Bytes | None = ByteSize(80 << 30)
    """Bytes; words such as `80GiB` are understood."""
    memory_used: Bytes | None = ByteSize(0)
    utilisation: Percent | None = 0
    memory_utilisation: Percent | None = 0
    temperature: int | None = 35
    """Degrees Celsius."""
    power: Annotated[float, Field(ge=0)] | None = 70.0
    """Watts."""
    energy: Count | None = 1_000_000
    """Millijoules since the driver was loaded or the GPU reset."""
    processes: tuple[Process, ...] | None = ()
    ecc_corrected: Count | None = 0
    ecc_uncorrected: Count | None = 0
    recovery_action: Annotated[int, Field(ge=0, le=7)] | None = 0
    """NVML's field 230: 0 none, 1 reset the GPU, 2 restart the node, 3 drain P2P, 4 drain and reset."""
    lost: bool = False
    """NVML answers GPU_IS_LOST to all about it."""
    unhealthy: bool = False
    """The device plugin says so, be NVML's answers what they may."""
    mig_enabled: bool | None = None
    mig_devices: Annotated[tuple[MigDevice, ...], Field(max_length=7)] = ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.memory_total is not None and (self.memory_used or 0) > self.memory_total:
            raise ValueError(f"memory_used {self.memory_used} is more than memory_total {self.memory_total}")
        if self.mig_devices and not self.mig_enabled:
            raise ValueError("mig_devices want mig_enabled: true")
        return self

    @property
    def healthy(self) -> bool:
        return not (self.lost or self.unhealthy)


class Xid(_Model):
    """An event of a GPU, by its index; NVML tells it to who listened before."""

    gpu: Count
    xid: Annotated[int, Field(gt=0)]


class Scenario(_Model):
    """A node's GPUs, and all that befell them."""

    driver_version: Annotated[str, Field(pattern=_PLAIN, max_length=60)] = "580.95.05"
    library: Library = Library.OK
    absent_functions: tuple[str, ...] = ()
    """NVML's functions that this driver is too old for, such as `nvmlDeviceGetTemperatureV`."""
    replicas: Annotated[int, Field(ge=1, le=100)] = 1
    """Time-slicing: as how many devices the plugin offers each whole GPU."""
    gpus: Annotated[tuple[Gpu, ...], Field(max_length=64)] = ()
    xids: tuple[Xid, ...] = ()
    """Only ever longer while a scenario runs."""

    def gpu(self, index: int) -> Gpu:
        """Raises ClusterError if there is no such GPU."""
        if not 0 <= index < len(self.gpus):
            raise ClusterError(f"no GPU {index} here: there are {len(self.gpus)}, counted from 0")
        return self.gpus[index]

    def with_values(self, **values: Any) -> Scenario:
        """The same with other values of the node, such as `library`. Raises ClusterError."""
        return _valid(Scenario, {**self.model_dump(), **values})

    def with_gpu(self, index: int, **values: Any) -> Scenario:
        """The same with other values of one GPU, such as `memory_used="20GiB"`. Raises ClusterError."""
        gpu = _valid(Gpu, {**self.gpu(index).model_dump(), **values})
        return self.with_values(gpus=[*self.gpus[:index], gpu, *self.gpus[index + 1 :]])

    def with_xid(self, index: int, xid: int) -> Scenario:
        """An Xid, by which the GPU becomes unhealthy as NVIDIA's plugin would have it."""
        unhealthy = self.gpu(index).unhealthy or xid not in APPLICATION_XIDS
        after = self.with_gpu(index, unhealthy=unhealthy)
        return after.with_values(xids=[*self.xids, {"gpu": index, "xid": xid}])

    def with_lost(self, index: int) -> Scenario:
        """The GPU has fallen off the bus."""
        return self.with_xid(index, FALLEN_OFF_THE_BUS).with_gpu(index, lost=True)

    def with_healed(self, index: int) -> Scenario:
        """All is well again with the GPU; what it said stays said."""
        return self.with_gpu(index, lost=False, unhealthy=False, recovery_action=0, ecc_uncorrected=0)


def build_scenario(node: str, gpus: int, **values: Any) -> Scenario:
    """`gpus` idle GPUs whose UUIDs follow from node and index; `values` are each GPU's, such as `name`."""
    each = [_valid(Gpu, {"uuid": _derived("GPU", node, index), **values}) for index in range(gpus)]
    return _valid(Scenario, {"gpus": each})


def with_mig(scenario: Scenario, index: int, profiles: list[str]) -> Scenario:
    """The GPU parted, such as by `["3g.40gb", "1g.10gb"]`; by `[]` it is whole again."""
    gpu = scenario.gpu(index)
    parts = [
        {
            "uuid": _derived("MIG", gpu.uuid, part),
            "profile": profile,
            "memory_total": profile.partition(".")[2],
        }
        for part, profile in enumerate(profiles)
    ]
    return scenario.with_gpu(index, mig_enabled=bool(profiles), mig_devices=parts)


def _derived(kind: str, owner: str, index: int) -> str:
    return f"{kind}-{uuid.uuid5(_UUIDS, f'{owner}/{index}')}"


def _valid(model: type[Valid], values: dict[str, Any]) -> Valid:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(map(str, found["loc"])) or model.__name__.lower()
        if found["type"] == "extra_forbidden":
            names = ", ".join(model.model_fields)
            raise ClusterError(f"{where}: there is no such value, but there are {names}") from None
        raise ClusterError(f"{where}: {found['msg']}, got {found['input']!r}") from None


class ScenarioFile:
    """A node's scenario on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Scenario:
        """Raises ClusterError if there is none, or none that can be understood."""
        try:
            return Scenario.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            raise ClusterError(f"no simulated GPUs here: {self.path} is missing") from None
        except ValidationError as error:
            raise ClusterError(f"{self.path}: {error}") from None

    def write(self, scenario: Scenario) -> None:
        """For all to read, whoever they are: NVML reads it in containers."""
        write_text(self.path, scenario.model_dump_json(indent=1) + "\n")

    def change(self, how: Callable[[Scenario], Scenario]) -> Scenario:
        """Reads, changes and writes, while no other does; returns the new one."""
        with locked(self.path.with_name(f"{self.path.name}.lock")):
            after = how(self.read())
            self.write(after)
        return after
