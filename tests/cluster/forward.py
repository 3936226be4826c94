"""Carries TCP connections from a loopback port to the first of some addresses that answers.

Started as a script of its own: `python forward.py 127.0.0.1:60066 172.30.0.11:30066 …`
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

CONNECT_TIMEOUT = 2.0  # seconds for one target: a node whose cable is cut says nothing at all


async def connect(targets: list[tuple[str, int]]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    for host, port in targets:
        with suppress(OSError, TimeoutError):
            return await asyncio.wait_for(asyncio.open_connection(host, port), CONNECT_TIMEOUT)
    return None


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copies until the end of the one side, and passes that end on."""
    with suppress(OSError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def serve(listen: tuple[str, int], targets: list[tuple[str, int]]) -> None:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await connect(targets)
        if there:
            await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))
            there[1].close()
        writer.close()

    server = await asyncio.start_server(carry, *listen)
    async with server:
        await server.serve_forever()


def address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


if __name__ == "__main__":
    own, *others = [address(text) for text in sys.argv[1:]]
    asyncio.run(serve(own, others))
