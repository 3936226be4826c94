"""Group, labels, annotations, and every name that is derived from another.

Child names are functions of the parent's, so nobody has to look one up.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from enum import StrEnum

GROUP = "yolo.training"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "YoloTraining"
PLURAL = "yolotrainings"

LABEL_TRAINING = f"{GROUP}/training"
"""Object name of the YoloTraining that a Job or pod belongs to (and so the run folder it may write)."""
LABEL_RUN = f"{GROUP}/run"
LABEL_ATTEMPT = f"{GROUP}/attempt"
LABEL_STAGE = f"{GROUP}/stage"
LABEL_EGRESS = f"{GROUP}/egress"
"""The `Egress` of a pod, by which the chart's NetworkPolicies select it."""
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY = "yolo-operator"
ANNOTATION_MODEL_NAME = f"{GROUP}/model-name"
ANNOTATION_WARNINGS = f"{GROUP}/warnings"
"""What was changed or ignored in the request that made the object: a JSON list of sentences."""
ANNOTATION_RETRY = f"{GROUP}/retry"
"""A new value asks the operator for another attempt of a run that failed, without a change of the spec."""
LABEL_QUEUE = "kueue.x-k8s.io/queue-name"
"""On a Job: the LocalQueue by which Kueue starts and stops it."""
LABEL_QUEUE_PRIORITY = "kueue.x-k8s.io/priority-class"
"""On a Job: its WorkloadPriorityClass."""
ANNOTATION_TOPOLOGY = "kueue.x-k8s.io/podset-required-topology"
"""On the pods of a queued Job: the level of Kueue's Topology that they must not be spread over."""
LABEL_WORKLOAD_JOB = "kueue.x-k8s.io/job-uid"
"""On a Workload: uid of the Job that it stands for."""

TRAINER_CONTAINER = "trainer"
CONFIG_ENV = "YOLO_TRAINER_CONFIG"
"""Environment variable that holds the trainer's JSON configuration, or its beginning (`config_env`)."""
CPU_REQUEST_ENV = "YOLO_TRAINER_CPU_REQUEST"
"""Environment variable with the container's CPU request in whole CPUs, rounded up; 0 or unset: none."""
MEMORY_LIMIT_ENV = "YOLO_TRAINER_MEMORY_LIMIT"
"""Environment variable with the container's memory limit in bytes; unset: none is known."""

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")
_NAME_MAX = 40
_SLUG_MAX = 29
_MODEL_NAME_CHARS = (2, 128)
_MODEL_NAME_BYTES = 200


class Stage(StrEnum):
    """The two Jobs of an attempt."""

    PREPARE = "prepare"
    TRAIN = "train"


class Egress(StrEnum):
    """What a training pod may reach over the network."""

    NONE = "none"
    FETCH = "fetch"
    """What prepare may fetch from: the installer's UCD server, the web where archives are allowed."""
    GANG = "gang"
    """The other pods of the same training, and DNS to find them."""


def normalize_model_name(raw: str) -> str:
    """The model name in NFC, checked; it is also the name of the run's folders.

    Raises ValueError with one sentence for a person: what is wrong and what would be right
    (rules: 2 to 128 characters, at most 200 bytes of UTF-8, letters of any script, digits, `. _ -`, blanks).
    """
    name = unicodedata.normalize("NFC", raw)
    low, high = _MODEL_NAME_CHARS
    if not low <= len(name) <= high:
        raise ValueError(f"a model name has {low} to {high} characters, this one has {len(name)}")
    size = len(name.encode("utf-8", "surrogatepass"))
    if size > _MODEL_NAME_BYTES:
        raise ValueError(f"a model name has at most {_MODEL_NAME_BYTES} bytes of UTF-8, this one has {size}")
    if name[0] in " ." or name[-1] in " .":
        raise ValueError("a model name neither begins nor ends with a blank or a dot")
    if ".." in name:
        raise ValueError("a model name contains no '..'")
    for char in name:
        if char not in " ._-" and unicodedata.category(char)[0] not in "LMN":
            raise ValueError(f"a model name has letters, digits, '.', '_', '-' and blanks; {char!r} is none")
    return name


def object_name(model_name: str) -> str:
    """The Kubernetes name for a model name: itself where it is a DNS label of at most 40 characters,
    else a readable slug and ten hex digits of the name's sha256.

    A name chosen to look like another's derived one meets it at the API server: the second create is refused,
    and `spec.modelName` tells whose object it is. Raises ValueError as `normalize_model_name`.
    """
    name = normalize_model_name(model_name)
    digest = hashlib.sha256(name.encode()).hexdigest()[:10]
    if len(name) <= _NAME_MAX and _DNS_LABEL.match(name):
        return name
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-")[:_SLUG_MAX].strip("-")
    return f"{slug or 'model'}-{digest}"


def job_name(training: str, run: int, attempt: int, stage: Stage) -> str:
    """`<name>-r<run>a<attempt>-<stage>`: at most 63 characters for names of at most 40."""
    return f"{training}-r{run}a{attempt}-{stage}"


def parse_labels(labels: Mapping[str, str]) -> tuple[int, int, Stage]:
    """Run, attempt and stage of a Job or pod; raises KeyError or ValueError where it is none of ours."""
    return int(labels[LABEL_RUN]), int(labels[LABEL_ATTEMPT]), Stage(labels[LABEL_STAGE])


def gang_name(training: str) -> str:
    """Name of the Service and the NetworkPolicy of a training on several nodes.

    A Service's name begins with a letter (DNS-1035), a training's may begin with a digit.
    """
    return f"gang-{training}"


def rendezvous_name(training: str, run: int, attempt: int) -> str:
    """DNS name, within the namespace, of the pod with index 0 of an attempt's train Job."""
    return f"{job_name(training, run, attempt, Stage.TRAIN)}-0.{gang_name(training)}"


def attempt_token(uid: str, run: int, attempt: int) -> str:
    """Folder name of one attempt below `.attempts/`; distinct for objects that reuse a model name."""
    return f"{uid[:8]}-r{run}a{attempt}"
