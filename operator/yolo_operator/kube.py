"""Which requests the operator makes; the rights that they need are in `rights`."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from yolo_crds import meta
from yolo_kube.connection import MERGE_PATCH, Connection, Patience, load_configuration, open_connection
from yolo_kube.errors import CONFLICT, NOT_FOUND, ConflictError, KubeError
from yolo_kube.reflector import Collection

from .metrics import Metrics
from .nodes import Node, sum_others, view_node
from .snapshot import EventView

LOG_LINES = 200
LOG_BYTES = 1 << 20
_ONCE = Patience(tries=1)
_LOG_PATIENCE = Patience(seconds=5.0, tries=1)
"""The kubelet answers at once; that of a node that is gone never does."""
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


class NamesakeError(ConflictError):
    """An object of this name belongs to a training of the same name that was deleted, and goes with it."""


class Kube:
    """The requests that the operator makes; objects are plain dicts."""

    def __init__(self, connection: Connection) -> None:
        self._api = connection

    def jobs(self, namespace: str | None) -> Collection:
        """All trainings' Jobs, of a namespace or of all."""
        return self._children("jobs", namespace)

    def pods(self, namespace: str | None) -> Collection:
        """All trainings' pods, of a namespace or of all."""
        return self._children("pods", namespace)

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
        return await self._api.call(
            "PATCH", path, f"{meta.PLURAL}/status", body=body, content_type=MERGE_PATCH
        )

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
            if error.code != NOT_FOUND:
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
            if error.code not in {NOT_FOUND, CONFLICT}:
                raise

    async def get_log_tail(self, namespace: str, pod: str) -> str:
        """The last lines that the trainer printed; empty when there are none (any more)."""
        query: dict[str, str | int] = {
            "container": meta.TRAINER_CONTAINER,
            "tailLines": LOG_LINES,
            "limitBytes": LOG_BYTES,
        }
        try:
            data = await self._api.request(
                "GET",
                f"{_CORE}/namespaces/{namespace}/pods/{pod}/log",
                "pods/log",
                query=query,
                patience=_LOG_PATIENCE,
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
        found = await self._api.call("GET", f"{_CORE}/namespaces/{namespace}/events", "events", query=query)
        events = sorted(found["items"], key=lambda e: str(e.get("lastTimestamp") or e.get("eventTime") or ""))
        return tuple(EventView(e.get("reason", ""), e.get("message", "")) for e in reversed(events))

    async def create_event(self, namespace: str, event: Mapping[str, Any]) -> None:
        """Create the Event, once tried; one of this name that is there tells the same."""
        try:
            await self._api.call(
                "POST", f"{_CORE}/namespaces/{namespace}/events", "events", body=event, patience=_ONCE
            )
        except ConflictError:
            return

    async def list_workloads(self, namespace: str, job_uid: str) -> list[dict[str, Any]]:
        """The Workloads that Kueue made for the Job with this uid. Raises KubeError 404 without a Kueue."""
        path = f"{_KUEUE}/namespaces/{namespace}/workloads"
        query = {"labelSelector": f"{meta.LABEL_WORKLOAD_JOB}={job_uid}"}
        found: list[dict[str, Any]] = (
            await self._api.call("GET", path, "workloads", query=query, patience=_ONCE)
        )["items"]
        return found

    async def list_pending(self, namespace: str, queue: str) -> list[dict[str, Any]]:
        """The Workloads that wait in a LocalQueue, with their places, the first thousand.

        Raises KubeError (404 or 503) where Kueue does not tell them (its visibility API is an extra).
        """
        path = f"{_KUEUE_VISIBILITY}/namespaces/{namespace}/localqueues/{queue}/pendingworkloads"
        found = await self._api.call(
            "GET", path, "pendingworkloads", query={"limit": _PENDING_MOST}, patience=_ONCE
        )
        return found.get("items") or []

    async def list_nodes(self) -> tuple[Node, ...]:
        """All nodes of the cluster. Raises KubeError 403 where the installer does not show them."""
        pages = self._api.pages(f"{_CORE}/nodes", "nodes", patience=_ONCE)
        return tuple([view_node(body) async for page in pages for body in page.items])

    async def sum_pods(self, served: Iterable[str]) -> dict[str, dict[str, int]]:
        """What pods that are no trainings of the namespaces `served` ask for, by node.

        Raises KubeError 403 where the installer does not show all namespaces' pods.
        """
        # Pages, not the watch cache: that would send all pods in one answer of a hundred megabytes.
        running = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"
        sums: dict[str, dict[str, int]] = {}
        async for page in self._api.pages(
            f"{_CORE}/pods", "pods", {"fieldSelector": running}, patience=_ONCE
        ):
            sum_others(page.items, served, sums)
        return sums

    async def list_versions(self, namespace: str | None) -> tuple[dict[str, str], str]:
        """resourceVersion by uid of a namespace's trainings (None: of all), and that of the list itself."""
        found, version = dict[str, str](), "0"
        path = _path(meta.PLURAL, namespace)
        async for page in self._api.pages(path, meta.PLURAL, accept=_METADATA_ONLY):
            version = page.resource_version
            for item in page.items:
                found[item["metadata"]["uid"]] = item["metadata"]["resourceVersion"]
        return found, version

    async def list_all(
        self, resource: str, namespace: str | None, selector: str | None = None
    ) -> list[dict[str, Any]]:
        """All trainings, NetworkPolicies, Jobs or pods of trainings (`resource`); or what `selector` means.

        Of all namespaces without a `namespace`.
        """
        if selector is None and resource in _NOT_OURS_ALONE:
            selector = meta.LABEL_TRAINING
        query = {"labelSelector": selector} if selector else {}
        pages = self._api.pages(_path(resource, namespace), resource, query)
        return [body async for page in pages for body in page.items]

    async def stop_training(self, namespace: str, name: str, uid: str) -> None:
        """Ask for the end of the training with this uid, as its user would."""
        path = f"{_TRAININGS}/namespaces/{namespace}/{meta.PLURAL}/{name}"
        body = {"metadata": {"uid": uid}, "spec": {"stop": True}}
        await self._api.call("PATCH", path, meta.PLURAL, body=body, content_type=MERGE_PATCH)

    async def end_deployment(self, namespace: str, name: str) -> None:
        """Let the Deployment have no pods, if it is there."""
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"
        body = {"spec": {"replicas": 0}}
        try:
            await self._api.call("PATCH", path, "deployments/scale", body=body, content_type=MERGE_PATCH)
        except KubeError as error:
            if error.code != NOT_FOUND:
                raise

    def _children(self, resource: str, namespace: str | None) -> Collection:
        selector = {"labelSelector": meta.LABEL_TRAINING}
        return Collection(self._api, _path(resource, namespace), resource, selector)

    async def _create(self, path: str, resource: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return await self._api.call("POST", path, resource, body=manifest)
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

    async def _list_of(self, path: str, resource: str, training: str) -> list[dict[str, Any]]:
        query = {"labelSelector": f"{meta.LABEL_TRAINING}={training}"}
        found: list[dict[str, Any]] = (await self._api.call("GET", path, resource, query=query))["items"]
        return found

    async def _get_or_none(self, path: str, resource: str) -> dict[str, Any] | None:
        try:
            return await self._api.call("GET", path, resource)
        except KubeError as error:
            if error.code == NOT_FOUND:
                return None
            raise

    async def _delete(self, path: str, resource: str, preconditions: Mapping[str, str]) -> None:
        # Without a policy the API server orphans a Job's pods; the uid spares a namesake.
        body = {"propagationPolicy": "Background", "preconditions": preconditions}
        await self._api.call("DELETE", path, resource, body=body)


def _path(resource: str, namespace: str | None) -> str:
    """Where all objects of a kind are, of a namespace or of all."""
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"{_PATHS[resource]}{within}/{resource}"


@asynccontextmanager
async def connect(metrics: Metrics) -> AsyncIterator[Kube]:
    """The requests with the pod's service account, or by the kubeconfig where there is none."""

    def count(verb: str, resource: str, code: int) -> None:
        metrics.requests.labels(verb, resource, str(code)).inc()

    configuration = await load_configuration()
    async with open_connection(configuration, meta.MANAGED_BY, heard=count) as connection:
        yield Kube(connection)
