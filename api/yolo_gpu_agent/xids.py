"""Listens for what the driver says about GPUs while nobody asks: Xid events."""

from __future__ import annotations

import ctypes
import logging
import threading
from collections import defaultdict, deque
from datetime import UTC, datetime
from typing import Any

import pynvml

from yolo_crds.gpus import Xid

logger = logging.getLogger(__name__)

KEPT = 10
"""Newest Xids that are kept of each GPU."""
_WAIT_MS = 250
_RETRY_SECONDS = 10.0


class XidListener:
    """A thread of its own that waits for Xids. It opens NVML for itself, so nobody else ends it."""

    def __init__(self) -> None:
        self._seen: defaultdict[str, deque[Xid]] = defaultdict(lambda: deque(maxlen=KEPT))
        self._lock = threading.Lock()
        self._mute: dict[int, str] = {}
        """Which GPUs tell nothing, and why: said once, though it is tried again and again."""
        self._stop = threading.Event()
        self._again = threading.Event()
        self.listening = threading.Event()
        """Set while events are told to this process."""
        self._thread = threading.Thread(target=self._run, name="xids", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, soon where NVML answers."""
        self._stop.set()
        self._again.set()
        self._thread.join(2.0)

    def renew(self) -> None:
        """Listens anew: a GPU came back, and the driver tells only of those that were there before."""
        self._again.set()

    def of(self, uuid: str | None) -> tuple[Xid, ...]:
        """The newest ones of a GPU, oldest first."""
        with self._lock:
            return tuple(self._seen.get(uuid or "", ()))

    def note(self, uuid: str, code: int) -> None:
        """Takes down one that came now."""
        logger.warning("Xid", extra={"uuid": uuid, "xid": code})
        with self._lock:
            self._seen[uuid].append(Xid(code=code, at=datetime.now(UTC)))

    def _run(self) -> None:
        while True:
            self._again.clear()
            if self._stop.is_set():  # looked at after that, for `stop` sets both in this order
                return
            try:
                self._listen()
            except (pynvml.NVMLError, pynvml.NVMLLibraryMismatchError) as error:
                logger.debug("no Xids to be had", extra={"cause": str(error)})
            self.listening.clear()
            self._again.wait(_RETRY_SECONDS)

    def _listen(self) -> None:
        pynvml.nvmlInit()
        try:
            events = pynvml.nvmlEventSetCreate()
            try:
                self._wait(events, self._register(events))
            finally:
                pynvml.nvmlEventSetFree(events)
        finally:
            pynvml.nvmlShutdown()

    def _wait(self, events: Any, uuids: dict[int | None, str]) -> None:
        """Until something is wrong, as after a reset, or other GPUs are there: then all is set up anew."""
        if not uuids:
            return
        self.listening.set()
        while not self._again.is_set():
            try:
                event = pynvml.nvmlEventSetWait_v2(events, _WAIT_MS)
            except pynvml.NVMLError_Timeout:
                continue
            if event.eventType == pynvml.nvmlEventTypeXidCriticalError:
                self.note(uuids.get(_address(event.device), ""), int(event.eventData))

    def _register(self, events: Any) -> dict[int | None, str]:
        """UUIDs by handle of the GPUs that will tell: one that gets lost can no longer say its UUID."""
        uuids, mute = {}, {}
        for index in range(pynvml.nvmlDeviceGetCount()):
            try:
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                uuid = pynvml.nvmlDeviceGetUUID(handle)
                pynvml.nvmlDeviceRegisterEvents(handle, pynvml.nvmlEventTypeXidCriticalError, events)
            except pynvml.NVMLError as error:
                mute[index] = str(error)
                if self._mute.get(index) != mute[index]:
                    logger.info("this GPU tells no Xids", extra={"gpu": index, "cause": mute[index]})
            else:
                uuids[_address(handle)] = uuid
        self._mute = mute
        return uuids


def _address(handle: Any) -> int | None:
    return ctypes.cast(handle, ctypes.c_void_p).value
