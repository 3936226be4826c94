"""The two Jobs of an attempt: pure functions that return manifests."""

from collections.abc import Sequence
from typing import Any

from yolo_crds import meta
from yolo_crds.config_env import split_config
from yolo_crds.layout import ARTIFACT_DIR, CACHE_DIR, DATA_DIR, RUNS_DIR
from yolo_crds.meta import Egress, Stage
from yolo_crds.trainer import TrainerConfig
from yolo_crds.training import Toleration, YoloTraining

from .injection import build_pod_annotations, build_pod_labels
from .queue_labels import INTERRUPTIONS_IGNORED, build_queue_labels
from .remedies import Overrides
from .settings import Settings
from .sharing import build_affinity
from .snapshot import parse_time

Manifest = dict[str, Any]

PREPARE_SHARED_MEMORY = "64Mi"
"""Shared memory of the prepare pod: what a container has by default."""
DATASET_VOLUME = "dataset"
"""Name of the volume with the files of `template.data.image`."""
NODE_FAILURE_SECONDS = 30
"""How long a pod stays bound to a node that does not answer (Kubernetes' own default is 300)."""


def build_prepare_job(training: YoloTraining, attempt: int, settings: Settings) -> Manifest:
    """The Job that checks and converts the data, and needs no GPU.

    It alone mounts the image that holds the data set, and it alone may fetch.
    """
    config = build_config(training, Stage.PREPARE, attempt, settings)
    data = training.spec.template.data
    mounts: list[Manifest] = [
        {"name": "data", "mountPath": str(DATA_DIR)},
        {"name": "runs", "mountPath": str(RUNS_DIR)},
    ]
    if data.image:
        mounts.append({"name": DATASET_VOLUME, "mountPath": str(ARTIFACT_DIR), "readOnly": True})
    limited = settings.limit_cpu or training.spec.template.resources.cpu_limit is not None
    resources = {
        "requests": {"cpu": settings.prepare_cpu, "memory": settings.prepare_memory},
        "limits": {"memory": settings.prepare_memory} | ({"cpu": settings.prepare_cpu} if limited else {}),
    }
    pod = {
        **_pod(training, settings, shared_memory=PREPARE_SHARED_MEMORY),
        "containers": [_container(config, settings, mounts, resources)],
        "nodeSelector": settings.node_selector,
        "tolerations": _tolerations(settings.tolerations),
    }
    if data.image:
        pod["volumes"].append(_image_volume(data.image))
    wanted = settings.fetch is not None and settings.fetch.is_wanted_for(data)
    return _job(training, Stage.PREPARE, attempt, settings, pod, Egress.FETCH if wanted else Egress.NONE)


def build_train_job(
    training: YoloTraining,
    attempt: int,
    settings: Settings,
    *,
    avoid_nodes: Sequence[str] = (),
    overrides: Overrides | None = None,
    trained_seconds: int = 0,
    gpu_share: float | None = None,
) -> Manifest:
    """The Job that trains. It sees the data read-only and of the run volume its own folders alone.

    `avoid_nodes` are names of nodes that it must not run on, `overrides` are the remedies' arguments,
    `trained_seconds` what earlier attempts of the run have trained, `gpu_share` its part of a shared GPU.
    """
    config = build_config(training, Stage.TRAIN, attempt, settings, overrides, trained_seconds)
    if gpu_share is not None:
        config = config.model_copy(update={"gpu_share": gpu_share})
    wanted, scheduling = training.spec.template.resources, training.spec.template.scheduling
    mounts: list[Manifest] = [
        {"name": "data", "mountPath": str(DATA_DIR), "readOnly": True},
        *(
            {"name": "runs", "mountPath": f"{RUNS_DIR}/{folder}", "subPath": folder}
            for folder in (f"train/{training.model_name}", f"train_info/{training.model_name}")
        ),
    ]
    caches = training.spec.template.cache != "none"
    if caches:
        mounts.append({"name": "cache", "mountPath": str(CACHE_DIR)})
    gpus = {wanted.gpu_resource: str(wanted.gpus)} if wanted.gpus else {}
    cpu_limit = wanted.cpu_limit or (wanted.cpu if settings.limit_cpu else None)
    resources = {
        "requests": {"cpu": wanted.cpu, "memory": wanted.memory, **gpus},
        "limits": {"memory": wanted.memory, **({"cpu": cpu_limit} if cpu_limit else {}), **gpus},
    }
    pod = {
        **_pod(training, settings, shared_memory=wanted.shared_memory),
        "containers": [_container(config, settings, mounts, resources)],
        "nodeSelector": scheduling.node_selector | settings.node_selector,
        "tolerations": _tolerations(
            [*_gpu_tolerations(wanted.gpu_resource if wanted.gpus else None)],
            settings.tolerations,
            scheduling.tolerations,
        ),
    }
    if caches:
        pod["volumes"].append({"name": "cache", "emptyDir": {"sizeLimit": wanted.cache_storage}})
    if scheduling.runtime_class_name:
        pod["runtimeClassName"] = scheduling.runtime_class_name
    if affinity := build_affinity(avoid_nodes, wanted):
        pod["affinity"] = affinity
    job = _job(
        training, Stage.TRAIN, attempt, settings, pod, Egress.GANG if wanted.nodes > 1 else Egress.NONE
    )
    return job if wanted.nodes == 1 else _of_several_nodes(job, training)


def _of_several_nodes(job: Manifest, training: YoloTraining) -> Manifest:
    """The train Job, made one of several pods that find each other by name."""
    wanted, topology = training.spec.template.resources, training.spec.template.scheduling.required_topology
    job["spec"] |= {"completionMode": "Indexed", "completions": wanted.nodes, "parallelism": wanted.nodes}
    template = job["spec"]["template"]
    pod = template["spec"]
    pod["subdomain"] = meta.gang_name(training.name)
    pod["containers"][0]["env"].append(_env_from_field("POD_IP", "status.podIP"))
    if topology and meta.LABEL_QUEUE in job["metadata"]["labels"]:
        template["metadata"]["annotations"][meta.ANNOTATION_TOPOLOGY] = topology
    elif topology:
        pod["affinity"] = pod.get("affinity", {}) | _together(topology, template["metadata"]["labels"])
    return job


def build_config(
    training: YoloTraining,
    stage: Stage,
    attempt: int,
    settings: Settings,
    overrides: Overrides | None = None,
    trained_seconds: int = 0,
) -> TrainerConfig:
    """What the trainer is told."""
    lifecycle = training.spec.lifecycle
    # The limit is one of training: a large data set may take its time to be checked.
    left = lifecycle.active_seconds_left(trained_seconds) if stage == Stage.TRAIN else None
    together = stage == Stage.TRAIN and training.spec.template.resources.nodes > 1
    return TrainerConfig(
        stage=stage,
        name=training.name,
        uid=training.uid,
        created=_created(training),
        model_name=training.model_name,
        run=training.spec.run,
        attempt=attempt,
        resume=training.spec.resume,
        template=training.spec.template,
        overrides=overrides or {},
        stall_timeout_seconds=lifecycle.stall_timeout_seconds,
        active_deadline_seconds=None if left is None else max(1, left),
        grace_period_seconds=lifecycle.termination_grace_period_seconds,
        time_zone=settings.time_zone,
        fetch=settings.fetch if stage == Stage.PREPARE else None,
        rendezvous=meta.rendezvous_name(training.name, training.spec.run, attempt) if together else None,
    )


def build_owner_reference(training: YoloTraining) -> Manifest:
    """By which a child goes with its training."""
    return {
        "apiVersion": meta.API_VERSION,
        "kind": meta.KIND,
        "name": training.name,
        "uid": training.uid,
        "controller": True,
    }


def _created(training: YoloTraining) -> float | None:
    """Unix seconds."""
    created = training.metadata.get("creationTimestamp")
    return parse_time(str(created)).timestamp() if created else None


def _job(
    training: YoloTraining,
    stage: Stage,
    attempt: int,
    settings: Settings,
    pod: Manifest,
    egress: Egress = Egress.NONE,
) -> Manifest:
    labels = {
        meta.LABEL_TRAINING: training.name,
        meta.LABEL_RUN: str(training.spec.run),
        meta.LABEL_ATTEMPT: str(attempt),
        meta.LABEL_STAGE: str(stage),
        meta.LABEL_MANAGED_BY: meta.MANAGED_BY,
    }
    annotations = {meta.ANNOTATION_MODEL_NAME: training.model_name}
    queue_labels = build_queue_labels(training, stage, settings)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": meta.job_name(training.name, training.spec.run, attempt, stage),
            "namespace": training.namespace,
            "labels": labels | queue_labels,
            "annotations": annotations,
            "ownerReferences": [build_owner_reference(training)],
        },
        "spec": {
            # Each pod once: whether and how to try again is the operator's decision.
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",
            **({"podFailurePolicy": INTERRUPTIONS_IGNORED} if queue_labels else {}),
            "template": {
                "metadata": {
                    "labels": build_pod_labels({**labels, meta.LABEL_EGRESS: str(egress)}, settings),
                    "annotations": build_pod_annotations(annotations, settings),
                },
                "spec": pod,
            },
        },
    }


def _pod(training: YoloTraining, settings: Settings, shared_memory: str) -> Manifest:
    """What the pods of both stages have in common."""
    scheduling = training.spec.template.scheduling
    pod: Manifest = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": training.spec.lifecycle.termination_grace_period_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            **_identity(settings),
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": settings.data_claim}},
            {"name": "runs", "persistentVolumeClaim": {"claimName": settings.runs_claim}},
            {"name": "tmp", "emptyDir": {}},
            {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": shared_memory}},
        ],
    }
    if settings.service_account:
        pod["serviceAccountName"] = settings.service_account
    if settings.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in settings.image_pull_secrets]
    if scheduling.priority_class_name:
        pod["priorityClassName"] = scheduling.priority_class_name
    return pod


def _identity(settings: Settings) -> Manifest:
    """User and group, where the installer and not the cluster chooses them."""
    group = settings.run_as_group
    ids = {"runAsUser": settings.run_as_user, "runAsGroup": group, "fsGroup": group}
    return {name: number for name, number in ids.items() if number is not None}


def _container(
    config: TrainerConfig, settings: Settings, mounts: list[Manifest], resources: Manifest
) -> Manifest:
    # The kubelet expands $(NAME) in a variable's value, and takes $$ for $: no label or path may change.
    told = config.model_dump_json(by_alias=True, exclude_none=True).replace("$", r"\u0024")
    return {
        "name": meta.TRAINER_CONTAINER,
        "image": settings.trainer_image,
        "imagePullPolicy": settings.trainer_image_pull_policy,
        "env": [
            *({"name": name, "value": part} for name, part in split_config(told).items()),
            _env_from_field("POD_NAME", "metadata.name"),
            _env_from_field("NODE_NAME", "spec.nodeName"),
            # Not limits.cpu: without a limit the kubelet would give the node's CPUs. The cgroup knows it.
            _env_from_resource(meta.CPU_REQUEST_ENV, "requests.cpu"),
            _env_from_resource(meta.MEMORY_LIMIT_ENV, "limits.memory"),
        ],
        "resources": resources,
        "terminationMessagePolicy": "File",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            *mounts,
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a path in the container
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108
        ],
    }


def _image_volume(reference: str) -> Manifest:
    return {"name": DATASET_VOLUME, "image": {"reference": reference, "pullPolicy": "IfNotPresent"}}


def _env_from_field(name: str, path: str) -> Manifest:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _env_from_resource(name: str, resource: str) -> Manifest:
    """Of the container itself, in whole units, rounded up."""
    source = {"containerName": meta.TRAINER_CONTAINER, "resource": resource, "divisor": "1"}
    return {"name": name, "valueFrom": {"resourceFieldRef": source}}


def _tolerations(*groups: list[Toleration]) -> list[Manifest]:
    node_failure = [
        Toleration(
            key=f"node.kubernetes.io/{taint}",
            operator="Exists",
            effect="NoExecute",
            toleration_seconds=NODE_FAILURE_SECONDS,
        )
        for taint in ("unreachable", "not-ready")
    ]
    return [toleration.to_wire() for group in (node_failure, *groups) for toleration in group]


def _gpu_tolerations(gpu_resource: str | None) -> list[Toleration]:
    """GPU nodes are commonly tainted with the name of their resource, to keep other pods away."""
    if gpu_resource is None:
        return []
    return [
        Toleration(key=key, operator="Exists", effect="NoSchedule")
        for key in dict.fromkeys(("nvidia.com/gpu", gpu_resource))
    ]


def _together(topology: str, labels: Manifest) -> Manifest:
    """The pods of one attempt choose each other; the first finds none and goes where it likes."""
    chosen = {"labelSelector": {"matchLabels": dict(labels)}, "topologyKey": topology}
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [chosen]}}
