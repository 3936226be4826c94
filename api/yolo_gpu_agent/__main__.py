"""`python -m yolo_gpu_agent`: serve one node's GPUs until asked to end."""

import logging
import signal
import sys

import uvicorn
from pydantic import ValidationError
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from yolo_crds.base import describe_settings_errors
from yolo_crds.listening import ListenError, bind

from .app import create_app
from .settings import Settings

logger = logging.getLogger(__name__)


def main() -> int:
    """The exit code: 0 after a wished end, 1 when the port cannot be had, 2 for wrong settings."""
    try:
        settings = Settings()
    except ValidationError as error:
        sys.stderr.writelines(f"{line}\n" for line in describe_settings_errors(error, "YOLO_GPU_AGENT_"))
        return 2
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        JsonFormatter(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            reserved_attrs=[*RESERVED_ATTRS, "color_message"],
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )
    )
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    # uvicorn ends gracefully and then raises the signal once more, for whoever was there before it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(settings),
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=5,
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
