"""The only module that awaits the API server (kopf's watches apart), and so the list of rights it needs."""

import asyncio
import json
import logging
import os
import random
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from kubernetes.aio import client, config

from yolo_crds import meta

from .metrics import Metrics
from .nodes import Node, sum_others, view_node
from .snapshot import EventView

logger = logging.getLogger(__name__)

RBAC: list[tuple[str, str, tuple[str, ...]]] = [
    (meta.GROUP, meta.PLURAL, ("get", "list", "watch", "delete")),
    (meta.GROUP, f"{meta.PLURAL}/status", ("patch",)),
    ("batch", "jobs", ("get", "list", "watch", "create", "delete")),
    ("", "pods", ("list", "watch")),
    ("", "pods/log", ("get",)),
    ("", "events", ("list", "create")),
    ("", "services", ("get", "create")),
    ("networking.k8s.io", "networkpolicies", ("get", "create")),
    ("kueue.x-k8s.io", "workloads", ("list",)),
    ("visibility.kueue.x-k8s.io", "localqueues/pendingworkloads", ("get",)),
]
"""(API group, resource, verbs) in each served namespace; `watch` is kopf's."""
RBAC_CLUSTER: list[tuple[str, str, tuple[str, ...]]] = [
    ("apiextensions.k8s.io", "customresourcedefinitions", ("list", "watch")),
]
"""The same for the whole cluster, only where all namespaces are served: kopf looks out for its resource.
With a list of namespaces it needs none (`settings.scanning.disabled`)."""

RBAC_NODES: list[tuple[str, str, tuple[str, ...]]] = [("", "nodes", ("list",))]
"""The same for the whole cluster, where the installer lets the operator see nodes (`rbac.nodes`)."""
RBAC_ALL_PODS: list[tuple[str, str, tuple[str, ...]]] = [("", "pods", ("list",))]
"""The same where it may see what pods of all namespaces ask for (`rbac.allPods`)."""

RBAC_FAREWELL: list[tuple[str, str, tuple[str, ...]]] = [
    (meta.GROUP, meta.PLURAL, ("list", "patch")),
    (meta.GROUP, f"{meta.PLURAL}/status", ("patch",)),
    ("batch", "jobs", ("list",)),
    ("", "pods", ("list",)),
    ("networking.k8s.io", "networkpolicies", ("get", "list", "create")),
]
"""What `farewell` needs in each served namespace when the release goes, by an account of its own."""
RBAC_FAREWELL_OWN: list[tuple[str, str, tuple[str, ...]]] = [
    ("apps", "deployments/scale", ("patch",)),
    ("", "pods", ("list",)),
]
"""The same in the release's namespace, of the operator's own Deployment."""

TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
TRIES = 5
LOG_LINES = 200
LOG_BYTES = 1 << 20
_PAGE = 500
_TRAININGS = f"/apis/{meta.API_VERSION}"
_JOBS = "/apis/batch/v1"
_CORE = "/api/v1"
_KUEUE = "/apis/kueue.x-k8s.io/v1beta2"
_KUEUE_VISIBILITY = "/apis/visibility.kueue.x-k8s.io/v1beta2"
_PENDING_MOST = 1000
_BESIDE = {
    "Service": (_CORE, "services"),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies"),
}
_PATHS = {
    meta.PLURAL: _TRAININGS,
    "jobs": _JOBS,
    "pods": _CORE,
    "networkpolicies": "/apis/networking.k8s.io/v1",
}
_NOT_OURS_ALONE = frozenset({"jobs", "pods"})
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_MERGE_PATCH = "application/merge-patch+json"
_NOT_FOUND, _CONFLICT, _TOO_MANY, _SERVER_ERROR = 404, 409, 429, 500


class KubeError(Exception):
    """The API server refused a request (`code` is the HTTP status), or did not answer (`code` 0)."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}" if code else message)
        self.code = code
        self.message = message


class ConflictError(KubeError):
    """The object is not, or no longer, the one that the request was meant for."""


class NamesakeError(ConflictError):
    """An object of this name belongs to a training of the same name that was deleted, and goes with it."""


class Kube:
    """The requests that the operator makes, with time-outs and retries; objects are plain dicts."""

    def __init__(self, api: client.ApiClient, metrics: Metrics) -> None:
        self._api = api
        self._metrics = metrics

    async def get_training(self, namespace: str, name: str) -> dict[str, Any] | None:
        """The YoloTraining; None when there is none."""
        return await self._get_or_none(
            f"{_TRAININGS}/namespaces/{namespace}/{meta.PLURAL}/{name}", meta.PLURAL
        )

    async def patch_training_status(
        self, namespace: str, name: str, version: str, patch: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Merge `patch` into the status. Raises ConflictError if the object is no longer at this version."""
        path = f"{_TRAININGS}/namespaces/{namespace}/{meta.PLURAL}/{name}/status"
        body = {"metadata": {"resourceVersion": version}, "status": patch}
        return await self._json("PATCH", path, f"{meta.PLURAL}/status", body=body, content_type=_MERGE_PATCH)

    async def delete_training(self, namespace: str, name: str, uid: str, version: str) -> None:
        """Delete the YoloTraining with this uid, if it is still there.

        Raises ConflictError if it is another one, or no longer at this version: somebody may have raised
        `spec.run` meanwhile.
        """
        path = f"{_TRAININGS}/namespaces/{namespace}/{meta.PLURAL}/{name}"
        preconditions = {"uid": uid, "resourceVersion": version}
        try:
            await self._delete(path, meta.PLURAL, preconditions)
        except KubeError as error:
            if error.code != _NOT_FOUND:
                raise

    async def list_jobs(self, namespace: str, training: str) -> list[dict[str, Any]]:
        """The training's Jobs."""
        return await self._list_of(f"{_JOBS}/namespaces/{namespace}/jobs", "jobs", training)

    async def list_pods(self, namespace: str, training: str) -> list[dict[str, Any]]:
        """The pods that may write into the training's run folder."""
        return await self._list_of(f"{_CORE}/namespaces/{namespace}/pods", "pods", training)

    async def create_job(self, namespace: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Create the Job, or find the one that an earlier try created.

        Raises ConflictError if a Job of this name belongs to something else, NamesakeError if that is a
        deleted training of the same name.
        """
        return await self._create(f"{_JOBS}/namespaces/{namespace}/jobs", "jobs", manifest)

    async def create_beside(self, namespace: str, manifest: Mapping[str, Any]) -> None:
        """Create the Service or NetworkPolicy that a training's pods need, unless it is there already.

        Raises ConflictError if one of this name belongs to something else.
        """
        root, resource = _BESIDE[manifest["kind"]]
        await self._create(f"{root}/namespaces/{namespace}/{resource}", resource, manifest)

    async def delete_job(self, namespace: str, name: str, uid: str) -> None:
        """Delete the Job with this uid and, in the background, its pods."""
        try:
            await self._delete(f"{_JOBS}/namespaces/{namespace}/jobs/{name}", "jobs", {"uid": uid})
        except KubeError as error:
            if error.code not in {_NOT_FOUND, _CONFLICT}:
                raise

    async def get_log_tail(self, namespace: str, pod: str) -> str:
        """The last lines that the trainer printed; empty when there are none (any more)."""
        query = {"container": meta.TRAINER_CONTAINER, "tailLines": LOG_LINES, "limitBytes": LOG_BYTES}
        try:
            data = await self._request(
                "GET", f"{_CORE}/namespaces/{namespace}/pods/{pod}/log", "pods/log", query=query, tries=1
            )
        except KubeError:
            return ""
        return data.decode("utf-8", "replace")

    async def list_events(self, namespace: str, uid: str) -> tuple[EventView, ...]:
        """The events about the object with this uid, newest first."""
        return await self._events(namespace, f"involvedObject.uid={uid}")

    async def list_pod_events(self, namespace: str, pod: str) -> tuple[EventView, ...]:
        """The events about the pod of this name, which may be gone, newest first."""
        return await self._events(namespace, f"involvedObject.kind=Pod,involvedObject.name={pod}")

    async def _events(self, namespace: str, selector: str) -> tuple[EventView, ...]:
        query = {"fieldSelector": selector}
        found = await self._json("GET", f"{_CORE}/namespaces/{namespace}/events", "events", query=query)
        events = sorted(found["items"], key=lambda e: str(e.get("lastTimestamp") or e.get("eventTime") or ""))
        return tuple(EventView(e.get("reason", ""), e.get("message", "")) for e in reversed(events))

    async def create_event(self, namespace: str, event: Mapping[str, Any]) -> None:
        """Create the Event, once tried; one of this name that is there tells the same."""
        try:
            await self._json("POST", f"{_CORE}/namespaces/{namespace}/events", "events", body=event, tries=1)
        except ConflictError:
            return

    async def list_workloads(self, namespace: str, job_uid: str) -> list[dict[str, Any]]:
        """The Workloads that Kueue made for the Job with this uid. Raises KubeError 404 without a Kueue."""
        path = f"{_KUEUE}/namespaces/{namespace}/workloads"
        query = {"labelSelector": f"{meta.LABEL_WORKLOAD_JOB}={job_uid}"}
        found: list[dict[str, Any]] = (await self._json("GET", path, "workloads", query=query, tries=1))[
            "items"
        ]
        return found

    async def list_pending(self, namespace: str, queue: str) -> list[dict[str, Any]]:
        """The Workloads that wait in a LocalQueue, with their places, the first thousand.

        Raises KubeError (404 or 503) where Kueue does not tell them (its visibility API is an extra).
        """
        path = f"{_KUEUE_VISIBILITY}/namespaces/{namespace}/localqueues/{queue}/pendingworkloads"
        found = await self._json("GET", path, "pendingworkloads", query={"limit": _PENDING_MOST}, tries=1)
        return found.get("items") or []

    async def list_nodes(self) -> tuple[Node, ...]:
        """All nodes of the cluster. Raises KubeError 403 where the installer does not show them."""
        pages = self._pages(f"{_CORE}/nodes", "nodes", {})
        return tuple([view_node(body) async for page in pages for body in page])

    async def sum_pods(self, served: Iterable[str]) -> dict[str, dict[str, int]]:
        """What pods that are no trainings of the namespaces `served` ask for, by node.

        Raises KubeError 403 where the installer does not show all namespaces' pods.
        """
        # Pages, not the watch cache: that would send all pods in one answer of a hundred megabytes.
        running = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"
        sums: dict[str, dict[str, int]] = {}
        async for page in self._pages(f"{_CORE}/pods", "pods", {"fieldSelector": running}):
            sum_others(page, served, sums)
        return sums

    async def list_versions(self, resource: str, namespace: str | None) -> tuple[dict[str, str], str]:
        """resourceVersion by uid of all trainings, Jobs or pods (`resource`), and that of the list itself.

        Of all namespaces without a `namespace`.
        """
        where = f"/namespaces/{namespace}" if namespace else ""
        query: dict[str, Any] = {"limit": _PAGE}
        if resource != meta.PLURAL:
            query["labelSelector"] = meta.LABEL_TRAINING
        found: dict[str, str] = {}
        while True:
            path = f"{_PATHS[resource]}{where}/{resource}"
            page = await self._json("GET", path, resource, query=query, accept=_METADATA_ONLY)
            for item in page["items"] or []:  # an empty list of metadata comes as null
                found[item["metadata"]["uid"]] = item["metadata"]["resourceVersion"]
            if not (more := page["metadata"].get("continue")):
                return found, page["metadata"]["resourceVersion"]
            query["continue"] = more

    async def list_all(
        self, resource: str, namespace: str | None, selector: str | None = None
    ) -> list[dict[str, Any]]:
        """All trainings, NetworkPolicies, Jobs or pods of trainings (`resource`); or what `selector` means.

        Of all namespaces without a `namespace`.
        """
        where = f"/namespaces/{namespace}" if namespace else ""
        if selector is None and resource in _NOT_OURS_ALONE:
            selector = meta.LABEL_TRAINING
        query = {"labelSelector": selector} if selector else {}
        pages = self._pages(f"{_PATHS[resource]}{where}/{resource}", resource, query)
        return [body async for page in pages for body in page]

    async def stop_training(self, namespace: str, name: str, uid: str) -> None:
        """Ask for the end of the training with this uid, as its user would."""
        path = f"{_TRAININGS}/namespaces/{namespace}/{meta.PLURAL}/{name}"
        body = {"metadata": {"uid": uid}, "spec": {"stop": True}}
        await self._json("PATCH", path, meta.PLURAL, body=body, content_type=_MERGE_PATCH)

    async def end_deployment(self, namespace: str, name: str) -> None:
        """Let the Deployment have no pods, if it is there."""
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"
        body = {"spec": {"replicas": 0}}
        try:
            await self._json("PATCH", path, "deployments/scale", body=body, content_type=_MERGE_PATCH)
        except KubeError as error:
            if error.code != _NOT_FOUND:
                raise

    async def _create(self, path: str, resource: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return await self._json("POST", path, resource, body=manifest)
        except ConflictError as taken:
            name, ours = manifest["metadata"]["name"], manifest["metadata"]["ownerReferences"][0]
            found = await self._get_or_none(f"{path}/{name}", resource)
            owners = found["metadata"].get("ownerReferences", ()) if found else ()
            owner: dict[str, Any] = next((one for one in owners if one.get("controller")), {})
            if found and owner.get("uid") == ours["uid"]:
                return found
            if found is None or (owner.get("kind"), owner.get("name")) == (ours["kind"], ours["name"]):
                # Two of one name are never there at once.
                raise NamesakeError(
                    taken.code, f"the {manifest['kind']} {name} of a deleted training goes"
                ) from None
            message = f"a {manifest['kind']} named {name} is there and belongs to something else"
            raise ConflictError(taken.code, message) from None

    async def _pages(
        self, path: str, resource: str, query: Mapping[str, Any]
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """The items of a list, page by page, each asked for once."""
        asked: dict[str, Any] = {**query, "limit": _PAGE}
        while True:
            page = await self._json("GET", path, resource, query=asked, tries=1)
            yield page["items"] or []
            if not (more := page["metadata"].get("continue")):
                return
            asked["continue"] = more

    async def _list_of(self, path: str, resource: str, training: str) -> list[dict[str, Any]]:
        query = {"labelSelector": f"{meta.LABEL_TRAINING}={training}"}
        found: list[dict[str, Any]] = (await self._json("GET", path, resource, query=query))["items"]
        return found

    async def _get_or_none(self, path: str, resource: str) -> dict[str, Any] | None:
        try:
            return await self._json("GET", path, resource)
        except KubeError as error:
            if error.code == _NOT_FOUND:
                return None
            raise

    async def _delete(self, path: str, resource: str, preconditions: Mapping[str, str]) -> None:
        # Without a policy the API server orphans a Job's pods; the uid spares a namesake.
        body = {"propagationPolicy": "Background", "preconditions": preconditions}
        await self._json("DELETE", path, resource, body=body)

    async def _json(self, verb: str, path: str, resource: str, **options: Any) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self._request(verb, path, resource, **options))
        return found

    async def _request(
        self, verb: str, path: str, resource: str, *, tries: int = TRIES, **options: Any
    ) -> bytes:
        """The answer's body. Raises KubeError for anything but success, after retries where they can help."""
        for attempt in range(1, tries + 1):
            wait = min(8.0, 0.25 * 2**attempt) * random.uniform(0.5, 1)  # noqa: S311 - jitter
            try:
                code, headers, data = await self._send(verb, path, **options)
            except (aiohttp.ClientError, TimeoutError) as error:
                code, failed = 0, KubeError(0, f"the API server does not answer: {error!r}")
            else:
                if code < 400:
                    self._count(verb, resource, code)
                    return data
                failed = (ConflictError if code == _CONFLICT else KubeError)(code, _message(data))
                wait = max(wait, _retry_after(headers))
            self._count(verb, resource, code)
            if attempt == tries or not (code in {0, _TOO_MANY} or code >= _SERVER_ERROR):
                raise failed
            await asyncio.sleep(wait)
        raise AssertionError("unreachable")

    async def _send(
        self,
        verb: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> tuple[int, Mapping[str, str], bytes]:
        request = await self._api.param_serialize(
            verb,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": accept, "Content-Type": content_type},
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = await self._api.call_api(*request, _request_timeout=TIMEOUT)
        return answer.status, answer.headers, bytes(await answer.response.read())

    def _count(self, verb: str, resource: str, code: int) -> None:
        self._metrics.requests.labels(verb, resource, str(code)).inc()


@asynccontextmanager
async def connect(metrics: Metrics) -> AsyncIterator[Kube]:
    """A connection with the pod's service account, or by the kubeconfig where there is none."""
    configuration = client.Configuration()
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    else:
        await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    async with client.ApiClient(configuration) as api:
        api.user_agent = meta.MANAGED_BY
        yield Kube(api, metrics)


def _message(data: bytes) -> str:
    """The sentence in a metav1.Status."""
    try:
        return str(json.loads(data)["message"])
    except (ValueError, KeyError, TypeError):
        return data[:200].decode("utf-8", "replace")


def _retry_after(headers: Mapping[str, str]) -> float:
    text = headers.get("Retry-After", "")
    return min(60.0, float(text)) if text.isdigit() else 0.0
