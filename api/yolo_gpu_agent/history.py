"""When each GPU was set up anew, by a reset or by its driver's start: what it told before is over then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from yolo_crds.gpus import Gpu, Health


class History:
    """What was seen of the GPUs from look to look.

    A GPU counts as set up anew when its energy counter has fallen, which from Volta on begins anew with the
    driver (https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html), when it was lost and
    answers again, or when the driver was away meanwhile. Time proves nothing: without one of these signs a
    fault stays one.
    """

    def __init__(self) -> None:
        self._looked_at: datetime | None = None
        self._energies: dict[str, int] = {}
        self._known: set[str] = set()
        self._lost: set[str] = set()
        self._since: dict[str, datetime] = {}

    def since(self, uuid: str | None) -> datetime | None:
        """Since when the GPU is as it is, at the earliest; None where that was before the first look."""
        return self._since.get(uuid or "")

    def note(self, gpus: Iterable[Gpu], energies: Mapping[str, int], at: datetime) -> None:
        """Takes down a look that began at this moment; energies are in millijoules."""
        for gpu in gpus:
            uuid = gpu.uuid or ""
            self._known.add(uuid)
            if gpu.health is Health.LOST:
                self._lost.add(uuid)
                continue
            fell = energies.get(uuid, 0) < self._energies.get(uuid, 0) and uuid in energies
            if (uuid in self._lost or fell) and self._looked_at is not None:
                # At the earliest: what it told after the look before may be about its new state.
                self._since[uuid] = self._looked_at
            self._lost.discard(uuid)
        self._energies |= energies
        self._looked_at = at

    def forget_states(self) -> None:
        """The driver is not loaded: whatever state its GPUs were in, they will be set up anew."""
        self._lost |= self._known
