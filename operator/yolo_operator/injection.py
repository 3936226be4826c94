"""What keeps others from putting containers of their own into training pods.

A mesh's proxy does not end with the trainer, and a pod without network has no use for one. The keys are those
that each project documents: Istio ("Installing the Sidecar" and "Add workloads to an ambient mesh"), Kuma
("Data plane proxy on Kubernetes"), Linkerd ("Automatic Proxy Injection"), Consul and Vault ("Annotations").
"""

from collections.abc import Mapping

from .settings import Settings

OPT_OUT_LABELS = {
    "sidecar.istio.io/inject": "false",
    "istio.io/dataplane-mode": "none",
    "kuma.io/sidecar-injection": "disabled",
}
OPT_OUT_ANNOTATIONS = {
    "sidecar.istio.io/inject": "false",  # before Istio 1.12 it was no label
    "linkerd.io/inject": "disabled",
    "consul.hashicorp.com/connect-inject": "false",
    "vault.hashicorp.com/agent-inject": "false",
}

Texts = Mapping[str, str]


def build_pod_labels(own: Texts, settings: Settings) -> dict[str, str]:
    """Of a training pod: the operator's `own` win over the installer's, and those over the opt-outs."""
    return {**(OPT_OUT_LABELS if settings.refuse_sidecars else {}), **settings.pod_labels, **own}


def build_pod_annotations(own: Texts, settings: Settings) -> dict[str, str]:
    """The same for its annotations."""
    return {**(OPT_OUT_ANNOTATIONS if settings.refuse_sidecars else {}), **settings.pod_annotations, **own}
