"""How the pods of a training on several nodes find and reach each other: pure functions that give manifests.

One Service and one NetworkPolicy a training, made before its first Job of several pods, gone with it.
"""

from yolo_crds import meta
from yolo_crds.meta import Egress, Stage
from yolo_crds.trainer import RENDEZVOUS_PORT
from yolo_crds.training import YoloTraining

from .jobs import Manifest, build_owner_reference
from .settings import Settings


def build_peer_objects(training: YoloTraining, settings: Settings) -> tuple[Manifest, ...]:
    """What must be there before the pods of the training are; nothing for one pod alone."""
    if training.spec.template.resources.nodes == 1:
        return ()
    service = build_service(training)
    return (service, build_network_policy(training)) if settings.network_policies else (service,)


def build_service(training: YoloTraining) -> Manifest:
    """Gives each pod a name in DNS, from its first moment on: who is not ready yet is waited for."""
    spec = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": _pods(training),
        "ports": [{"name": "rendezvous", "port": RENDEZVOUS_PORT, "protocol": "TCP"}],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(training), "spec": spec}


def build_network_policy(training: YoloTraining) -> Manifest:
    """Opens the pods of one training to each other, on all ports, since gloo and NCCL choose theirs.

    What else they may reach, DNS, is in the chart's policy for `Egress.GANG`, which outlives the training.
    """
    spec = {
        "podSelector": {"matchLabels": _pods(training)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [{"podSelector": {"matchLabels": _pods(training)}}]}],
        "egress": [{"to": [{"podSelector": {"matchLabels": _pods(training)}}]}],
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(training),
        "spec": spec,
    }


def _pods(training: YoloTraining) -> Manifest:
    """Labels of the training's pods that train together."""
    return {
        meta.LABEL_MANAGED_BY: meta.MANAGED_BY,
        meta.LABEL_TRAINING: training.name,
        meta.LABEL_STAGE: str(Stage.TRAIN),
        meta.LABEL_EGRESS: str(Egress.GANG),
    }


def _metadata(training: YoloTraining) -> Manifest:
    return {
        "name": meta.gang_name(training.name),
        "namespace": training.namespace,
        "labels": {meta.LABEL_TRAINING: training.name, meta.LABEL_MANAGED_BY: meta.MANAGED_BY},
        "ownerReferences": [build_owner_reference(training)],
    }
