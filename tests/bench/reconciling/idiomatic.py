"""An operator as kopf's documentation has them: a handler that creates the Job and patches the status."""

import sys
from typing import Any

import kopf
from kubernetes import client, config

from .payload import build_job, build_status


def run(namespace: str) -> None:
    """Serve one namespace until killed."""
    config.load_kube_config()  # type: ignore[no-untyped-call]
    api: Any = client.BatchV1Api()

    @kopf.on.startup()
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False
        settings.scanning.disabled = True

    @kopf.on.create("yolo.training", "v1alpha1", "yolotrainings")
    def created(body: kopf.Body, patch: kopf.Patch, **_: Any) -> None:
        api.create_namespaced_job(body.meta.namespace, build_job(dict(body)))
        patch.status.update(build_status(dict(body)))

    kopf.run(standalone=True, namespaces=[namespace])


if __name__ == "__main__":
    run(sys.argv[1])
