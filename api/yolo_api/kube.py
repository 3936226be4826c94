"""Which calls the façade makes to the API server. Plain dicts in and out."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from urllib.parse import quote

from yolo_crds.meta import GROUP, LABEL_TRAINING, PLURAL, VERSION
from yolo_kube.connection import (
    JSON_PATCH,
    Connection,
    Manifest,
    Patience,
    load_configuration,
    open_connection,
)
from yolo_kube.reflector import Collection, Source

from .kube_errors import domain_errors

Verb = Literal["get", "list", "create", "patch", "delete"]

RBAC: dict[tuple[str, str], tuple[str, ...]] = {
    (GROUP, PLURAL): ("get", "list", "watch", "create", "patch", "delete"),
    ("", "pods"): ("list",),
    ("", "limitranges"): ("list",),
    ("", "resourcequotas"): ("list",),
    ("authentication.k8s.io", "tokenreviews"): ("create",),
    ("authorization.k8s.io", "subjectaccessreviews"): ("create",),
}
"""(group, resource) → verbs of all calls below. The last two are cluster-scoped."""

PATIENCE = Patience(seconds=10.0, tries=3)
"""A caller waits meanwhile."""
_UNFINISHED = {"fieldSelector": "status.phase!=Succeeded,status.phase!=Failed"}


@dataclass(frozen=True)
class User:
    """Whom a token stands for, as the API server says."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """What some authorizers need besides, such as the scopes of an OpenShift token."""


class Kube(Protocol):
    """What the façade asks of the API server; errors are `DomainError`s, its own ones in `kube_errors`."""

    def trainings(self) -> Source:
        """All trainings of the namespace, to be followed. Its errors are those of `yolo_kube`."""
        ...

    async def get_training(self, name: str) -> Manifest:
        """Raises NotFoundError."""
        ...

    async def create_training(self, manifest: Manifest) -> Manifest:
        """Raises AlreadyExistsError."""
        ...

    async def patch_training(self, name: str, operations: list[Manifest]) -> Manifest:
        """Applies a JSON patch. Raises NotFoundError, and StaleError when it sets an outdated version."""
        ...

    async def delete_training(self, name: str, uid: str, resource_version: str) -> None:
        """Deletes just this object in just this state. Raises NotFoundError, StaleError."""
        ...

    async def list_unfinished_pods(self, training: str) -> list[str]:
        """Names of the pods of a training that have not ended."""
        ...

    async def list_pods(self) -> list[Manifest]:
        """All pods of the namespace that have not ended."""
        ...

    async def list_limits(self) -> tuple[list[Manifest], list[Manifest]]:
        """The LimitRanges and the ResourceQuotas of the namespace."""
        ...

    async def review_token(self, token: str, audience: str) -> User | None:
        """Whose token it is; None when it is not valid for the audience."""
        ...

    async def review_access(self, user: User, verb: Verb) -> bool:
        """Whether the user may do `verb` with the trainings of the namespace."""
        ...


class KubeClient:
    """`Kube` over HTTP."""

    def __init__(self, connection: Connection, namespace: str) -> None:
        self._api = connection
        self._namespace = namespace
        self._trainings = f"/apis/{GROUP}/{VERSION}/namespaces/{quote(namespace)}/{PLURAL}"
        self._pods = f"/api/v1/namespaces/{quote(namespace)}/pods"
        self._ranges = f"/api/v1/namespaces/{quote(namespace)}/limitranges"
        self._quotas = f"/api/v1/namespaces/{quote(namespace)}/resourcequotas"

    def trainings(self) -> Source:
        return Collection(self._api, self._trainings, PLURAL)

    async def get_training(self, name: str) -> Manifest:
        return await self._call("GET", self._path(name), PLURAL)

    async def create_training(self, manifest: Manifest) -> Manifest:
        # A lost answer is told: whoever sent it must not hear that somebody else has taken the name.
        return await self._call("POST", self._trainings, PLURAL, body=manifest, repeatable=False)

    async def patch_training(self, name: str, operations: list[Manifest]) -> Manifest:
        return await self._call(
            "PATCH",
            self._path(name),
            PLURAL,
            body=operations,
            content_type=JSON_PATCH,
            repeatable=False,
        )

    async def delete_training(self, name: str, uid: str, resource_version: str) -> None:
        options = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid, "resourceVersion": resource_version},
        }
        await self._call("DELETE", self._path(name), PLURAL, body=options, repeatable=False)

    async def list_unfinished_pods(self, training: str) -> list[str]:
        selectors = {"labelSelector": f"{LABEL_TRAINING}={training}", **_UNFINISHED}
        found = await self._list(self._pods, "pods", selectors)
        return [pod["metadata"]["name"] for pod in found]

    async def list_pods(self) -> list[Manifest]:
        return await self._list(self._pods, "pods", _UNFINISHED)

    async def list_limits(self) -> tuple[list[Manifest], list[Manifest]]:
        ranges, quotas = await asyncio.gather(
            self._list(self._ranges, "limitranges"), self._list(self._quotas, "resourcequotas")
        )
        return ranges, quotas

    async def review_token(self, token: str, audience: str) -> User | None:
        review = await self._call(
            "POST",
            "/apis/authentication.k8s.io/v1/tokenreviews",
            "tokenreviews",
            body={
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenReview",
                "spec": {"token": token, "audiences": [audience]},
            },
        )
        status = review["status"]
        if not status.get("authenticated") or audience not in status.get("audiences", ()):
            return None
        user = status["user"]
        extra = tuple((key, tuple(values)) for key, values in sorted(user.get("extra", {}).items()))
        return User(user["username"], user.get("uid", ""), tuple(user.get("groups", ())), extra)

    async def review_access(self, user: User, verb: Verb) -> bool:
        review = await self._call(
            "POST",
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            "subjectaccessreviews",
            body={
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {
                    "user": user.name,
                    "uid": user.uid,
                    "groups": list(user.groups),
                    "extra": {key: list(values) for key, values in user.extra},
                    "resourceAttributes": {
                        "namespace": self._namespace,
                        "group": GROUP,
                        "version": VERSION,
                        "resource": PLURAL,
                        "verb": verb,
                    },
                },
            },
        )
        return bool(review["status"].get("allowed"))

    def _path(self, name: str) -> str:
        return f"{self._trainings}/{quote(name)}"

    async def _list(
        self, path: str, resource: str, selectors: Mapping[str, str] | None = None
    ) -> list[Manifest]:
        with domain_errors():
            return [body async for page in self._api.pages(path, resource, selectors) for body in page.items]

    async def _call(self, *call: Any, **options: Any) -> Manifest:
        with domain_errors():
            return await self._api.call(*call, **options)


@asynccontextmanager
async def connect(namespace: str) -> AsyncIterator[KubeClient]:
    """A client with the pod's service account, or outside a cluster with the user's kubeconfig."""
    configuration = await load_configuration()
    async with open_connection(configuration, "yolo-api", patience=PATIENCE) as connection:
        yield KubeClient(connection, namespace)
