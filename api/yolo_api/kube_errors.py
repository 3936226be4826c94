"""What a refusal of the API server, or its silence, means in the façade's words."""

from collections.abc import Iterator
from contextlib import contextmanager

from yolo_crds.meta import GROUP, PLURAL
from yolo_kube.errors import KubeError

from .errors import (
    ConflictError,
    DomainError,
    ForbiddenError,
    InvalidFieldsError,
    UnavailableError,
    UnknownModelError,
)
from .wording import to_key, to_rest_words


class AlreadyExistsError(ConflictError):
    """An object of that name is there already."""


class NotFoundError(UnknownModelError):
    """There is no such object."""


class StaleError(ConflictError):
    """The object changed since it was read."""


@contextmanager
def domain_errors() -> Iterator[None]:
    """Turns what the API server refuses, or its silence, into the façade's errors."""
    try:
        yield
    except KubeError as error:
        raise to_error(error) from error


def to_error(error: KubeError) -> DomainError:
    """The façade's error for one of the client."""
    code, message = error.code, error.message
    if code == 0:
        return UnavailableError(message)
    if code == 404 and error.reason == "NotFound":
        return NotFoundError(message)
    if code == 404:
        return UnavailableError(f"the Kubernetes API does not know {PLURAL}.{GROUP}; is the CRD installed?")
    if code == 403:
        return ForbiddenError(f"the Kubernetes API refused the façade: {to_rest_words(message)}")
    if code == 409:
        return AlreadyExistsError(message) if error.reason == "AlreadyExists" else StaleError(message)
    if code == 422:
        causes = (error.status.get("details") or {}).get("causes") or [{"field": "spec", "message": message}]
        told = ((str(cause.get("field") or "spec"), str(cause.get("message", ""))) for cause in causes)
        return InvalidFieldsError((to_key(field), to_rest_words(text)) for field, text in told)
    return UnavailableError(f"the Kubernetes API answered {code} {message}".strip())
