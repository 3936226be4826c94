"""What LimitRanges and quotas leave to a training, read from the API server now and then."""

import asyncio
import logging
from time import monotonic

from .errors import DomainError
from .kube import Kube
from .room import Room, bounds_amounts, to_room

logger = logging.getLogger(__name__)

KEPT_SECONDS = 10.0
"""So long what was read is good for: who starts a hundred trainings asks once, and people change quotas."""


class RoomReader:
    """Reads it at most every `KEPT_SECONDS`, for all who ask meanwhile."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._room = Room({})
        self._until = 0.0
        self._reading = asyncio.Lock()

    async def read(self) -> Room:
        """What the namespace leaves to a training's pod; nobody is refused for want of that knowledge."""
        async with self._reading:
            if monotonic() >= self._until:
                try:
                    self._room = await self._look()
                except DomainError as error:
                    logger.warning("the namespace's limits cannot be read", extra={"cause": str(error)})
                    return Room({})
                self._until = monotonic() + KEPT_SECONDS
            return self._room

    async def _look(self) -> Room:
        ranges, quotas = await self._kube.list_limits()
        pods = await self._kube.list_pods() if bounds_amounts(quotas) else []
        return to_room(ranges, quotas, pods)
