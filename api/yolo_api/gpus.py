"""The cluster's GPUs, kept current in the background: the last report of each node, also of silent ones."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from yolo_crds.gpus import Gap, NodeReport

from .errors import DomainError, UnavailableError
from .gpu_agents import AgentsUnknownError
from .gpu_rows import ModelOf, Node, Pod, build_rows, to_pod
from .kube import Kube
from .schemas import GpuInfo

logger = logging.getLogger(__name__)

ROUND_SECONDS = 5.0
"""Between two rounds through all agents."""
SILENT_SECONDS = 20.0
"""A node that told nothing for so long is stale."""
FORGET_SECONDS = 3600.0
"""A node that told nothing for so long is gone, as one that the cluster shrank by."""
FIRST_SECONDS = 12.0
"""Longest wait for a first round; then what the pods asked for is told without one."""
AGAIN_SECONDS = 1.0
"""Between two tries to look up where the agents are, before the first round."""
_PODS_SECONDS = 2.0


class Agents(Protocol):
    """The agents of all nodes."""

    async def reports(self) -> list[NodeReport]:
        """What those tell that answer. Raises AgentsUnknownError."""
        ...


def merge_reports(known: dict[str, Node], reports: Iterable[NodeReport], now: datetime) -> dict[str, Node]:
    """The nodes after a round: by name, each with its last report that had something to tell.

    A node whose driver stopped answering keeps the GPUs that it had, since they are still in it.
    """
    nodes = dict(known)
    for report in reports:
        before = nodes.get(report.node)
        lost = not report.gpus and report.gap not in (None, Gap.NO_GPUS)
        if not (lost and before and before.report.gpus):
            # An age may be any number; what is older is forgotten all the same.
            age = timedelta(seconds=min(report.age, 2 * FORGET_SECONDS))
            nodes[report.node] = Node(report, now - age)
    ages = {name: (now - node.seen_at).total_seconds() for name, node in nodes.items()}
    return {
        name: Node(node.report, node.seen_at, silent=ages[name] > SILENT_SECONDS)
        for name, node in nodes.items()
        if ages[name] <= FORGET_SECONDS
    }


class Gpus:
    """Which GPUs there are and who holds them. Without agents: what the namespace's pods asked for."""

    def __init__(self, agents: Agents | None, kube: Kube, namespace: str, model_of: ModelOf) -> None:
        self._agents = agents
        self._kube = kube
        self._model_of = model_of
        self._namespace = namespace
        self._nodes: dict[str, Node] = {}
        self._gaps: dict[str, str | None] = {}
        self._unknown: str | None = None
        """Why nobody says where the agents are; None when that is known."""
        self._asked = asyncio.Event()
        """Set once all has been asked that can be."""
        self._pods: list[Pod] | None = None
        self._pods_at = float("-inf")
        self._listing = asyncio.Lock()

    async def run(self) -> None:
        """Asks the agents again and again until it is cancelled; no failure ends it."""
        begun = time.monotonic()
        while self._agents:
            try:
                reports = await self._agents.reports()
                self._note_changes(reports)
                self._nodes = merge_reports(self._nodes, reports, datetime.now(UTC))
                self._unknown = None
                self._asked.set()
            except AgentsUnknownError as error:
                if self._unknown is None:
                    logger.warning("GPU agents", extra={"cause": str(error)})
                self._unknown = str(error)
                if time.monotonic() - begun >= FIRST_SECONDS:
                    self._asked.set()
            except Exception:
                logger.exception("the GPU agents could not be asked")
            at_start = self._unknown is not None and not self._asked.is_set()
            await asyncio.sleep(AGAIN_SECONDS if at_start else ROUND_SECONDS)

    async def rows(self) -> list[GpuInfo]:
        """The array of `GET /gpu_info`. Raises UnavailableError while neither agents nor pods are known, and
        where nobody says whether there are agents and no pod has a GPU."""
        if self._agents:
            try:
                async with asyncio.timeout(FIRST_SECONDS):
                    await self._asked.wait()
            except TimeoutError:
                if self._unknown is None:
                    raise UnavailableError("the GPUs are not known yet; ask again") from None
        nodes = merge_reports(self._nodes, (), datetime.now(UTC))
        pods, unknown = await self._list_pods(), self._unknown
        rows = build_rows(nodes.values(), pods, self._namespace, agents_known=unknown is None)
        if unknown is not None and not rows:
            raise UnavailableError(unknown)
        return rows

    async def _list_pods(self) -> list[Pod]:
        """The namespace's pods, listed when somebody asks; the last ones while the API server is away."""
        async with self._listing:
            if time.monotonic() - self._pods_at > _PODS_SECONDS:
                try:
                    self._pods = [to_pod(body, self._model_of) for body in await self._kube.list_pods()]
                    self._pods_at = time.monotonic()
                except DomainError as error:
                    if self._pods is None and not self._nodes:
                        raise
                    logger.warning("pods could not be listed", extra={"cause": str(error)})
            return self._pods or []

    def _note_changes(self, reports: Iterable[NodeReport]) -> None:
        for report in reports:
            before = self._gaps.get(report.node)
            self._gaps[report.node] = report.gap
            if report.gap and report.gap != before:
                told = {"node": report.node, "gap": report.gap, "cause": report.message}
                logger.info("no GPUs of a node", extra=told)
