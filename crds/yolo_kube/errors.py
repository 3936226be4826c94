"""What the API server's refusal, or its silence, is to us."""

import json
from collections.abc import Mapping
from typing import Any

NOT_FOUND, CONFLICT, GONE, UNPROCESSABLE, TOO_MANY, SERVER_ERROR = 404, 409, 410, 422, 429, 500
UNAUTHORIZED = 401


class KubeError(Exception):
    """The API server refused a request (`code` is the HTTP status), or did not answer (`code` 0)."""

    def __init__(self, code: int, message: str, status: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{code}: {message}" if code else message)
        self.code = code
        self.message = message
        self.status: Mapping[str, Any] = status or {}
        """The `Status` object of the answer; empty where it was none."""

    @property
    def reason(self) -> str:
        """The API server's word for it, such as `AlreadyExists`."""
        return str(self.status.get("reason") or "")


class ConflictError(KubeError):
    """The object is not, or no longer, the one that the request was meant for (409)."""


class GoneError(KubeError):
    """The history that a watch or the next page of a list needs is not kept any more (410): list anew."""


def to_error(code: int, answer: bytes | Mapping[str, Any]) -> KubeError:
    """The error for an answer's body, or for the `Status` that a watch ended with."""
    status = answer if isinstance(answer, Mapping) else _parse(answer)
    text = "" if isinstance(answer, Mapping) else answer[:500].decode("utf-8", "replace")
    kind = {CONFLICT: ConflictError, GONE: GoneError}.get(code, KubeError)
    return kind(code, str(status.get("message") or text), status)


def _parse(data: bytes) -> Mapping[str, Any]:
    try:
        parsed = json.loads(data)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
