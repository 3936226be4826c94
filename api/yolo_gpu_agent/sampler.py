"""Looks at the GPUs when somebody asks, at most every two seconds, and never lets the asker hang."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from yolo_crds.gpus import Gap, NodeReport

from .holders import with_holders
from .nvml import GapError, Nvml
from .pod_resources import Allocation, KubeletError, list_allocations

logger = logging.getLogger(__name__)

FRESH_SECONDS = 2.0
"""A report so young is given out again."""
WAIT_SECONDS = 3.0
"""Longest wait for a new one; then the last one goes out, with its age."""
HANGING_SECONDS = 15.0
"""A look that takes longer is told as a gap."""


def take_report(node: str, nvml: Nvml, socket: Path) -> NodeReport:
    """Looks once. NVML may hang in it for as long as the driver does."""
    allocations: list[Allocation] = []
    kubelet: str | None = None
    try:
        allocations = list_allocations(socket)
    except KubeletError as error:
        kubelet = str(error)
    gap: GapError | None = None
    try:
        version, gpus = nvml.read()
    except GapError as error:
        gap, version, gpus = error, None, []
    held, others = with_holders(gpus, allocations)
    return NodeReport(
        node=node,
        driver_version=version,
        gap=gap and gap.gap,
        message=gap and str(gap),
        gpus=held,
        holders_known=kubelet is None,
        holders_message=kubelet,
        other_holders=others,
    )


class Sampler:
    """Keeps the last report. One thread looks, so that calls of NVML never pile up behind one that hangs."""

    def __init__(
        self,
        node: str,
        take: Callable[[], NodeReport],
        *,
        close: Callable[[], None] = lambda: None,
        wait: float = WAIT_SECONDS,
        fresh: float = FRESH_SECONDS,
    ) -> None:
        self._take, self._close, self._wait, self._fresh = take, close, wait, fresh
        self._changed = threading.Condition()
        self._wanted = True
        self._stopped = False
        self._looking_since: float | None = None
        self._seen_at: float | None = None
        """When the look of the report began, in monotonic time."""
        nothing = "the GPUs have not been looked at yet"
        self._report = NodeReport(node=node, gap=Gap.NOT_ANSWERING, message=nothing, holders_known=False)
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Closes and ends the thread, unless NVML hangs in it: then it ends with the process."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(1.0)

    def report(self) -> NodeReport:
        """The GPUs as they are now; after a bounded wait as they were last seen."""
        with self._changed:
            oldest = time.monotonic() - self._fresh
            if not self._seen_since(oldest):
                self._wanted = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._seen_since(oldest), self._wait)
            return self._current()

    def last(self) -> NodeReport:
        """The last report, without a look and without a wait."""
        with self._changed:
            return self._current()

    def _seen_since(self, moment: float) -> bool:
        return self._seen_at is not None and self._seen_at >= moment

    def _current(self) -> NodeReport:
        now = time.monotonic()
        changes: dict[str, object] = {} if self._seen_at is None else {"age": now - self._seen_at}
        if self._looking_since is not None and now - self._looking_since > HANGING_SECONDS:
            message = f"the NVIDIA driver has not answered for {now - self._looking_since:.0f} s"
            changes |= {"gap": Gap.NOT_ANSWERING, "message": message}
        return self._report.model_copy(update=changes)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted or self._stopped)
                if self._stopped:
                    break
                self._wanted = False
                self._looking_since = begun = time.monotonic()
            report = self._look()
            with self._changed:
                if (report.gap, report.holders_message) != (self._report.gap, self._report.holders_message):
                    logger.info(
                        "GPUs", extra={"gap": report.gap, "count": len(report.gpus), "cause": report.message}
                    )
                self._report, self._seen_at, self._looking_since = report, begun, None
                self._changed.notify_all()
        self._close()

    def _look(self) -> NodeReport:
        try:
            return self._take()
        except Exception as error:
            logger.exception("the GPUs could not be looked at")
            text = f"the GPUs could not be looked at: {type(error).__name__}; the agent's log has more"
            return NodeReport(node=self._report.node, gap=Gap.ERROR, message=text, holders_known=False)
