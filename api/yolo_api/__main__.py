"""`python -m yolo_api`: serve until asked to end, then let running answers finish."""

import logging
import signal
import sys
from datetime import datetime
from zoneinfo import ZoneInfo

import uvicorn
from pydantic import ValidationError
from pydantic_settings import SettingsError
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from yolo_crds.base import describe_settings_errors
from yolo_crds.listening import ListenError, bind
from yolo_crds.unknown_user import ensure_user

ensure_user()  # the Kubernetes client asks for a home when it is imported

from .app import create_app  # noqa: E402
from .settings import Settings  # noqa: E402

logger = logging.getLogger(__name__)

GRACE_SECONDS = 25
"""Longer than `/terminate` waits, and less than a pod's default grace period."""


def _install_logging(settings: Settings) -> None:
    """JSON lines on stdout, with local times."""
    zone = ZoneInfo(settings.time_zone)

    class LocalJsonFormatter(JsonFormatter):
        def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802, ARG002
            return datetime.fromtimestamp(record.created, zone).isoformat(timespec="milliseconds")

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        LocalJsonFormatter(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            reserved_attrs=[*RESERVED_ATTRS, "color_message"],
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )
    )
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)


def main() -> int:
    """The exit code: 0 after a wished end, 1 when the port cannot be had, 2 for wrong settings."""
    try:
        settings = Settings()
    except SettingsError as error:  # no JSON where a list is wanted
        sys.stderr.write(f"{error}; lists are given as JSON\n")
        return 2
    except ValidationError as error:
        sys.stderr.writelines(f"{line}\n" for line in describe_settings_errors(error, "YOLO_API_"))
        return 2
    _install_logging(settings)
    # uvicorn ends gracefully and then raises the signal once more, for whoever was there before it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(settings),
            access_log=False,  # middleware.py writes one, in JSON
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    try:
        socket = bind(settings.host, settings.port)
    except ListenError as error:
        logger.error(str(error))  # noqa: TRY400 - the sentence says it all
        return 1
    logger.info("listening", extra={"address": settings.host or "all", "port": settings.port})
    server.run([socket])
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
