"""What can go wrong, in the words of the domain, and the one place that turns it into HTTP answers.

Every error answer is `{"detail": text, "error": text}` with the same text twice: the first key is what newer
clients read, the second what the old server sent. Field errors carry the list of fields under `errors` too.
"""

import difflib
import errno
import logging
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from anyio.to_thread import run_sync
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from yolo_crds.base import readable
from yolo_crds.ownership import explain_denial

logger = logging.getLogger(__name__)


class DomainError(Exception):
    """An expected failure with one sentence for the person who asked."""


class UnknownModelError(DomainError):
    """There is neither a training nor a run folder of that name."""


class MissingFileError(DomainError):
    """The model is known, the file that was asked for is not there."""


class ConflictError(DomainError):
    """The state of the training does not allow what was asked for."""


class UnauthenticatedError(DomainError):
    """Nobody knows who is asking."""


class ForbiddenError(DomainError):
    """Whoever asks may not do this."""


class MethodDisabledError(DomainError):
    """The installer switched this form of the call off."""


class UnavailableError(DomainError):
    """The Kubernetes API cannot be reached or does not answer in time."""


class InvalidFieldsError(DomainError):
    """One or more fields of a request are wrong: pairs of field and sentence."""

    def __init__(self, problems: Iterable[tuple[str, str]]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(f"{field}: {message}" for field, message in self.problems))


# Looked up along the class hierarchy: kube.py's errors are kinds of these.
_STATUS: dict[type[DomainError], int] = {
    UnauthenticatedError: 401,
    ForbiddenError: 403,
    UnknownModelError: 404,
    MissingFileError: 404,
    MethodDisabledError: 405,
    ConflictError: 409,
    InvalidFieldsError: 422,
    UnavailableError: 503,
}
_SERVER_AWAY = "is the volume's server up?"
_AWAY = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN})
"""What a volume answers that is away."""
_DENIED = frozenset({errno.EACCES, errno.EPERM})
"""What it answers where its files are another user's."""
_HEADERS: dict[type[DomainError], dict[str, str]] = {
    UnauthenticatedError: {"WWW-Authenticate": "Bearer"},
    MethodDisabledError: {"Allow": "POST, DELETE"},
    UnavailableError: {"Retry-After": "5"},
}


def build_error(
    status: int,
    text: str,
    headers: Mapping[str, str] | None = None,
    problems: Sequence[tuple[str, str]] = (),
) -> JSONResponse:
    """The error answer of every call."""
    text = readable(text)
    body: dict[str, Any] = {"detail": text, "error": text}
    if problems:
        named = [(readable(field), readable(message)) for field, message in problems]
        body["errors"] = [{"field": field, "message": message} for field, message in named]
    return JSONResponse(body, status_code=status, headers=dict(headers or {}))


def build_unexpected(error: Exception, path: str) -> JSONResponse:
    """The answer to a failure that nobody foresaw: a number, under which the log has the traceback."""
    number = secrets.token_hex(4)
    logger.error("unexpected error", extra={"error_id": number, "path": path}, exc_info=error)
    return build_error(500, f"an unexpected error, number {number} in the server's log")


def to_problem(error: Mapping[str, Any]) -> tuple[str, str]:
    """Field and sentence of one pydantic error: what is wrong and what would be right."""
    where = [str(part) for part in error["loc"] if part not in ("body", "path", "query")]
    kind, given, context = str(error["type"]), error.get("input"), error.get("ctx", {})
    if kind == "json_invalid":
        return "body", f"is not JSON at character {where[0]} ({context.get('error')})"
    if not where and kind == "value_error":
        return "body", str(context.get("error", error["msg"]))
    if not where:
        return "body", 'must be a JSON object, sent with "Content-Type: application/json"'
    field = ".".join(where)
    if kind == "missing":
        sent = [str(key) for key in given] if isinstance(given, Mapping) else []
        like = difflib.get_close_matches(field, sent, n=1, cutoff=0.8)
        return field, "is required" + (f"; the body has {like[0]!r}" if like else "")
    if kind == "value_error":
        return field, str(context.get("error", error["msg"]))
    message = str(error["msg"])
    return field, f"{message[:1].lower()}{message[1:]}, got {_shown(given)}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def explain_volume(error: Exception) -> str | None:
    """What a volume's answer about a file means, and what to do or ask then; None where it is none of those
    known. Blocking."""
    if not isinstance(error, OSError) or error.filename is None:
        return None
    if error.errno in _AWAY:
        return f"{error.strerror}; {_SERVER_AWAY}"
    if error.errno in _DENIED:
        denial = explain_denial(str(error.filename))
        return f"{denial.message}; {denial.cure}" if denial else error.strerror
    return None


def install_error_handlers(app: FastAPI) -> None:
    """Makes every failure of a route an answer in the one error form."""

    @app.exception_handler(DomainError)
    async def domain_error(_: Request, error: DomainError) -> JSONResponse:
        kind = next(one for one in type(error).__mro__ if one in _STATUS)
        problems = error.problems if isinstance(error, InvalidFieldsError) else ()
        return build_error(_STATUS[kind], str(error), _HEADERS.get(kind), problems)

    @app.exception_handler(OSError)
    async def file_error(request: Request, error: OSError) -> JSONResponse:
        told = await run_sync(explain_volume, error)
        if told is None:
            return build_unexpected(error, request.url.path)
        logger.warning("volume fault", extra={"file": str(error.filename), "cause": error.strerror})
        return build_error(503, f"{error.filename} cannot be read: {told}", _HEADERS[UnavailableError])

    @app.exception_handler(RequestValidationError)
    async def validation_error(_: Request, error: RequestValidationError) -> JSONResponse:
        problems = [to_problem(one) for one in error.errors()]
        return build_error(422, "; ".join(f"{f}: {m}" for f, m in problems), problems=problems)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        text = str(error.detail)
        if error.status_code == 400:  # FastAPI: any failure to parse a body but JSON's own
            text = "the body cannot be read; send JSON in UTF-8"
        elif error.status_code == 404:
            text = f"there is no call {request.method} {request.url.path}; GET /help lists the calls"
        elif error.status_code == 405:
            text = f"{request.url.path} cannot be called with {request.method}; GET /help lists the calls"
        return build_error(error.status_code, text, error.headers)
