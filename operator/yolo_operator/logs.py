"""JSON log lines on stderr: constant messages, the rest in fields."""

import logging

from pythonjsonlogger.json import JsonFormatter

# kopf logs each step of its own at INFO; the operator logs state changes itself.
_QUIET = ("kopf", "aiohttp.access", "asyncio")


def configure_logs(level: str) -> None:
    """Send all log records of at least `level` to stderr, one JSON object a line."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonFormatter(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            datefmt="%Y-%m-%dT%H:%M:%S%z",
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    if level != "DEBUG":
        for name in _QUIET:
            logging.getLogger(name).setLevel(logging.WARNING)
