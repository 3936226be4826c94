"""Asks the GPU agents of all nodes. They are found by a headless Service's name: no API right is needed."""

from __future__ import annotations

import asyncio
import logging
import socket
from urllib.parse import urlsplit

import aiohttp
from pydantic import ValidationError

from yolo_crds.gpus import AGENT_PORT, REPORT_PATH, NodeReport

from .errors import UnavailableError

logger = logging.getLogger(__name__)

ASK_SECONDS = 5.0
"""Longest wait for one agent, which itself answers within 3 seconds."""
_RESOLVE_SECONDS = 5.0
_CONCURRENT = 256
"""So many that do not answer, as of a zone that is gone, delay the others by no more than one time-out. After
three the first answer of `/gpu_info` would come too late, after four healthy nodes would count as silent.
"""
_MAX_BYTES = 1 << 20
"""Largest report, of which there may be as many at once: 16 GPUs with thousands of processes stay below."""


_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, socket.EAI_NODATA})


class AgentsUnknownError(UnavailableError):
    """Nobody says now where the agents are, or whether there are any."""


class AgentClient:
    """The agents behind one name, `host` or `host:port`."""

    def __init__(self, address: str) -> None:
        found = urlsplit(f"//{address}")
        self._host, self._port = found.hostname or "", found.port or AGENT_PORT

    async def reports(self) -> list[NodeReport]:
        """Those of all agents that answer; of the others the log tells. Raises AgentsUnknownError."""
        addresses = await self._addresses()
        timeout = aiohttp.ClientTimeout(total=ASK_SECONDS)
        free = asyncio.Semaphore(_CONCURRENT)
        # Without a limit of its own: the wait for a place in it would count as the agent's.
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session:

            async def ask(address: str) -> NodeReport | None:
                async with free:
                    return await self._ask(session, address)

            answers = await asyncio.gather(*map(ask, addresses))
        return [answer for answer in answers if answer]

    async def _addresses(self) -> list[str]:
        """Where they listen. A name that is not there has none: no node has a GPU, or all of them restart."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_RESOLVE_SECONDS):
                found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError) as error:
            cause = str(error) or "no answer in time"
            if getattr(error, "errno", None) not in _NO_SUCH_NAME:
                message = f"the GPU agents at {self._host!r} cannot be looked up: {cause}"
                raise AgentsUnknownError(message) from error
            logger.debug("no GPU agents", extra={"host": self._host, "cause": cause})
            return []
        return sorted({str(entry[4][0]) for entry in found})

    async def _ask(self, session: aiohttp.ClientSession, address: str) -> NodeReport | None:
        host = f"[{address}]" if ":" in address else address
        try:
            async with session.get(
                f"http://{host}:{self._port}{REPORT_PATH}", allow_redirects=False
            ) as answer:
                answer.raise_for_status()
                return NodeReport.model_validate_json(await _body(answer))
        except ValidationError as error:
            cause = f"{error.error_count()} wrong fields"
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            cause = str(error) or type(error).__name__
        logger.warning("a GPU agent does not tell", extra={"address": address, "cause": cause})
        return None


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    """The whole body. Raises ValueError when it is too large."""
    body = bytearray()
    async for part in answer.content.iter_any():
        body += part
        if len(body) > _MAX_BYTES:
            raise ValueError(f"the report has more than {_MAX_BYTES} bytes")
    return bytes(body)
