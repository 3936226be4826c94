"""Who asks, and may they? The API server decides both; its answers are remembered briefly."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Generic, TypeVar

from fastapi import Request

from .errors import ForbiddenError, UnauthenticatedError
from .kube import Kube, User, Verb
from .settings import Settings

TOKEN_SECONDS = 60.0
"""For so long a token is taken for what the API server said, and a revoked one still works."""
ACCESS_SECONDS = 10.0
_REMEMBERED = 4096

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass
class _Memory(Generic[K, V]):
    """Answers by question, for a time, the oldest forgotten first."""

    seconds: float
    _answers: OrderedDict[K, tuple[float, V]] = field(default_factory=OrderedDict)

    async def recall(self, question: K, ask: Callable[[], Awaitable[V]]) -> V:
        known = self._answers.get(question)
        if known and known[0] > time.monotonic():
            return known[1]
        answer = await ask()
        self._answers[question] = (time.monotonic() + self.seconds, answer)
        self._answers.move_to_end(question)
        if len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)
        return answer


class Access:
    """The two questions, put to the API server: TokenReview, then SubjectAccessReview on the trainings."""

    def __init__(self, kube: Kube, settings: Settings) -> None:
        self._kube = kube
        self._settings = settings
        self._tokens: _Memory[bytes, User | None] = _Memory(TOKEN_SECONDS)
        self._rights: _Memory[tuple[User, Verb], bool] = _Memory(ACCESS_SECONDS)

    def is_open(self, client: str | None) -> bool:
        """Whether the old paths are open to a client of this address."""
        networks = self._settings.legacy_anonymous_networks
        if not self._settings.legacy_anonymous or not networks:
            return self._settings.legacy_anonymous
        try:
            address = ip_address(client or "")
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in networks)

    async def identify(self, authorization: str | None) -> User:
        """The user of an Authorization header. Raises UnauthenticatedError."""
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise UnauthenticatedError(
                "this call needs a token: send 'Authorization: Bearer <token>', such as the token of a "
                f"service account of the cluster for the audience {self._settings.audience!r}"
            )
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        user = await self._tokens.recall(
            digest, lambda: self._kube.review_token(token, self._settings.audience)
        )
        if user is None:
            raise UnauthenticatedError(
                f"the token is not valid for the audience {self._settings.audience!r}, or has expired"
            )
        return user

    async def require(self, user: User, verb: Verb) -> None:
        """Raises ForbiddenError unless the user may do this with the namespace's trainings."""
        if not await self._rights.recall((user, verb), lambda: self._kube.review_access(user, verb)):
            raise ForbiddenError(
                f"{user.name!r} may not {verb} yolotrainings in the namespace "
                f"{self._settings.namespace!r}; a Role or ClusterRole has to allow it"
            )


async def authorize(request: Request, access: Access, verb: Verb) -> None:
    """Lets a request to an old path pass, or raises."""
    if not access.is_open(request.client.host if request.client else None):
        await access.require(await access.identify(request.headers.get("authorization")), verb)
