"""The only place that awaits the API server. Plain dicts in and out.

The calls go through `ApiClient` rather than the generated classes: these would add 28 MB to a process of 70
(CoreV1, Authentication and Authorization imported together), for models that nothing here uses.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast
from urllib.parse import quote, urlencode

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from yolo_crds.meta import GROUP, LABEL_TRAINING, PLURAL, VERSION

from .kube_errors import network_errors, retry_after, to_error

Manifest = dict[str, Any]
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

CALL_SECONDS = 10.0
"""Longest wait for an answer."""
LIST_SECONDS = 60.0
WATCH_SECONDS = 60
"""After so long the API server ends a watch; asking again is how a half-open connection is noticed."""
LIST_PAGE = 500
_ATTEMPTS = 3
_FINISHED_PODS = "status.phase!=Succeeded,status.phase!=Failed"


@dataclass(frozen=True)
class WatchEvent:
    """One line of a watch."""

    kind: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Manifest


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

    async def list_trainings(self) -> tuple[list[Manifest], str]:
        """All trainings of the namespace and the resource version of the list."""
        ...

    def watch_trainings(self, resource_version: str) -> AsyncIterator[WatchEvent]:
        """Changes since `resource_version` for up to `WATCH_SECONDS`. Raises GoneError, UnavailableError."""
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

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._trainings = f"/apis/{GROUP}/{VERSION}/namespaces/{quote(namespace)}/{PLURAL}"
        self._pods = f"/api/v1/namespaces/{quote(namespace)}/pods"
        self._ranges = f"/api/v1/namespaces/{quote(namespace)}/limitranges"
        self._quotas = f"/api/v1/namespaces/{quote(namespace)}/resourcequotas"

    async def close(self) -> None:
        await self._client.close()  # type: ignore[no-untyped-call]

    async def list_trainings(self) -> tuple[list[Manifest], str]:
        return await self._list(self._trainings, seconds=LIST_SECONDS)

    async def watch_trainings(self, resource_version: str) -> AsyncIterator[WatchEvent]:
        query = {
            "watch": "true",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        with network_errors():
            response = await self._send("GET", self._trainings, query, seconds=WATCH_SECONDS + 15.0)
            async with response:
                if response.status != 200:
                    raise to_error(response.status, await response.read())
                async for line in response.content:
                    yield _to_event(json.loads(line))

    async def get_training(self, name: str) -> Manifest:
        return await self._call("GET", self._path(name))

    async def create_training(self, manifest: Manifest) -> Manifest:
        return await self._call("POST", self._trainings, body=manifest)

    async def patch_training(self, name: str, operations: list[Manifest]) -> Manifest:
        return await self._call(
            "PATCH", self._path(name), body=operations, content_type="application/json-patch+json"
        )

    async def delete_training(self, name: str, uid: str, resource_version: str) -> None:
        options = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid, "resourceVersion": resource_version},
        }
        await self._call("DELETE", self._path(name), body=options)

    async def list_unfinished_pods(self, training: str) -> list[str]:
        found, _ = await self._list(
            self._pods, labelSelector=f"{LABEL_TRAINING}={training}", fieldSelector=_FINISHED_PODS
        )
        return [pod["metadata"]["name"] for pod in found]

    async def list_pods(self) -> list[Manifest]:
        found, _ = await self._list(self._pods, fieldSelector=_FINISHED_PODS)
        return found

    async def list_limits(self) -> tuple[list[Manifest], list[Manifest]]:
        (ranges, _), (quotas, _) = await asyncio.gather(self._list(self._ranges), self._list(self._quotas))
        return ranges, quotas

    async def review_token(self, token: str, audience: str) -> User | None:
        review = await self._call(
            "POST",
            "/apis/authentication.k8s.io/v1/tokenreviews",
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
        self, path: str, *, seconds: float = CALL_SECONDS, **selectors: str
    ) -> tuple[list[Manifest], str]:
        """All objects, page by page, and the resource version of the list."""
        items: list[Manifest] = []
        query = {"limit": str(LIST_PAGE), **selectors}
        while True:
            page = await self._call("GET", path, query, seconds=seconds)
            items += page["items"]
            metadata = page["metadata"]
            if not metadata.get("continue"):
                return items, str(metadata["resourceVersion"])
            query["continue"] = metadata["continue"]

    async def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: object = None,
        content_type: str = "application/json",
        seconds: float = CALL_SECONDS,
    ) -> Manifest:
        """One call, answered with the object. Refusals for load are tried again, nothing else is:
        a 429 was not carried out, of a lost answer nobody knows.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            with network_errors():
                response = await self._send(method, path, query, body, content_type, seconds)
                async with response:
                    data = await response.read()
            if response.status != 429 or attempt == _ATTEMPTS:
                break
            await asyncio.sleep(retry_after(response.headers, attempt))
        if response.status >= 300:
            raise to_error(response.status, data)
        return cast("Manifest", json.loads(data))

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        seconds: float = CALL_SECONDS,
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": "application/json", "Content-Type": content_type}
        method, url, headers, _, _ = await self._client.param_serialize(
            method, path, header_params=headers, auth_settings=["BearerToken"]
        )
        if query:
            url = f"{url}?{urlencode(query)}"
        answer = await self._client.call_api(method, url, headers, body, _request_timeout=seconds)
        return cast("aiohttp.ClientResponse", answer.response)


async def connect(namespace: str) -> KubeClient:
    """A client with the pod's service account, or outside a cluster with the user's kubeconfig."""
    configuration = Configuration()
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
    else:
        await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    return KubeClient(ApiClient(configuration), namespace)


def _to_event(line: Manifest) -> WatchEvent:
    if line["type"] == "ERROR":
        raise to_error(line["object"].get("code", 500), line["object"])
    return WatchEvent(line["type"], line["object"])
