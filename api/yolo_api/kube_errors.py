"""What a refusal of the API server, or its silence, means in the façade's words."""

import json
import logging
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import aiohttp

from yolo_crds.meta import GROUP, PLURAL

from .errors import (
    ConflictError,
    DomainError,
    ForbiddenError,
    InvalidFieldsError,
    UnavailableError,
    UnknownModelError,
)
from .wording import to_key, to_rest_words

logger = logging.getLogger(__name__)


class AlreadyExistsError(ConflictError):
    """An object of that name is there already."""


class NotFoundError(UnknownModelError):
    """There is no such object."""


class StaleError(ConflictError):
    """The object changed since it was read."""


class GoneError(UnavailableError):
    """The API server has no history back to the asked resource version: list again."""


@contextmanager
def network_errors() -> Iterator[None]:
    """Turns failures to reach the API server, or to hear from it in time, into UnavailableError."""
    try:
        yield
    except TimeoutError as error:
        raise UnavailableError("the Kubernetes API did not answer in time") from error
    except (aiohttp.ClientError, OSError) as error:
        logger.warning("API server unreachable", extra={"cause": repr(error)})
        raise UnavailableError("the Kubernetes API cannot be reached") from error


def retry_after(headers: Mapping[str, str], attempt: int) -> float:
    """Seconds to wait after a 429: what the server says (at most 5), else a jittered doubling."""
    said = headers.get("Retry-After", "")
    return min(float(said), 5.0) if said.isdecimal() else random.uniform(0.5, 1.0) * 0.5 * 2**attempt  # noqa: S311


def to_error(code: int, data: bytes | Mapping[str, Any]) -> DomainError:
    """The domain error for a Status object, or for an answer that is none (a 404 for an unknown resource)."""
    status = data if isinstance(data, Mapping) else _parse_status(data)
    reason, message = status.get("reason", ""), status.get("message", "")
    if code == 404 and reason == "NotFound":
        return NotFoundError(message)
    if code == 404:
        return UnavailableError(f"the Kubernetes API does not know {PLURAL}.{GROUP}; is the CRD installed?")
    if code == 403:
        return ForbiddenError(f"the Kubernetes API refused the façade: {to_rest_words(message)}")
    if code == 409:
        return AlreadyExistsError(message) if reason == "AlreadyExists" else StaleError(message)
    if code == 410:
        return GoneError(message)
    if code == 422:
        causes = (status.get("details") or {}).get("causes") or [{"field": "spec", "message": message}]
        told = ((str(cause.get("field") or "spec"), str(cause.get("message", ""))) for cause in causes)
        return InvalidFieldsError((to_key(field), to_rest_words(text)) for field, text in told)
    return UnavailableError(f"the Kubernetes API answered {code} {message}".strip())


def _parse_status(data: bytes) -> Mapping[str, Any]:
    try:
        parsed = json.loads(data)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
