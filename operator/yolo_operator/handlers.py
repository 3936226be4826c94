"""What kopf calls for each event: note what is seen, and put the training into the queue."""

from collections.abc import Callable
from typing import Any

import kopf

from yolo_crds import meta

from .snapshot import training_name, view_job, view_pod, view_training
from .store import Key, Store


def register(registry: kopf.OperatorRegistry, store: Store, add: Callable[[Key], None]) -> None:
    """Register the handlers. There are events only: kopf then writes nothing into any object."""
    ours = {meta.LABEL_TRAINING: kopf.PRESENT}

    @kopf.on.event(meta.GROUP, meta.VERSION, meta.PLURAL, registry=registry)
    async def training_observed(event: Any, **_: Any) -> None:
        body = event["object"]
        key = (body["metadata"]["namespace"], body["metadata"]["name"])
        if event["type"] == "DELETED":
            store.drop_training(key, body["metadata"]["uid"])
        else:
            store.put_training(view_training(body))
            add(key)

    @kopf.on.event("batch", "v1", "jobs", labels=ours, registry=registry)
    async def job_observed(event: Any, **_: Any) -> None:
        if key := _child_observed(event):
            if job := view_job(event["object"]):
                store.put_job(key, job)
            else:
                store.pass_over(key, event["object"]["metadata"])

    @kopf.on.event("", "v1", "pods", labels=ours, registry=registry)
    async def pod_observed(event: Any, **_: Any) -> None:
        if key := _child_observed(event):
            if pod := view_pod(event["object"]):
                store.put_pod(key, pod)
            else:
                store.pass_over(key, event["object"]["metadata"])

    def _child_observed(event: Any) -> Key | None:
        """Key of the training to which a child that is still there belongs."""
        body = event["object"]
        key = (body["metadata"]["namespace"], training_name(body) or "")
        add(key)
        if event["type"] != "DELETED":
            return key
        store.drop_child(key, body["metadata"]["uid"])
        return None

    @kopf.on.login(registry=registry)
    def api_server_joined(**kwargs: Any) -> Any:
        # A registry of our own has no logins. It reads what `kube.connect` reads, and again after a 401.
        return kopf.login_via_client(**kwargs)
