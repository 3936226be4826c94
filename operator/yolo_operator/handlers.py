"""What kopf calls for each event of a YoloTraining: note what is seen, and queue the training."""

from collections.abc import Callable
from typing import Any

import kopf

from yolo_crds import meta

from .snapshot import view_training
from .store import Key, Store


def register(registry: kopf.OperatorRegistry, store: Store, add: Callable[[Key], None]) -> None:
    """Register the handlers. There are events only: kopf then writes nothing into any object."""

    @kopf.on.event(meta.GROUP, meta.VERSION, meta.PLURAL, registry=registry)
    async def training_observed(event: Any, **_: Any) -> None:
        body = event["object"]
        key = (body["metadata"]["namespace"], body["metadata"]["name"])
        if event["type"] == "DELETED":
            store.drop_training(key, body["metadata"]["uid"])
        elif store.put_training(view_training(body)):
            add(key)

    @kopf.on.login(registry=registry)
    def api_server_joined(**kwargs: Any) -> Any:
        # A registry of our own has no logins. It reads what `yolo_kube` reads, and again after a 401.
        return kopf.login_via_client(**kwargs)
