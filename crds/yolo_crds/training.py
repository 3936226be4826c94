"""The YoloTraining custom resource, and what a user asks for in its spec."""

import json
import math
import re
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, JsonValue, StringConstraints, WithJsonSchema, model_validator

from .base import Lenient, Model, ShortText
from .meta import API_VERSION, KIND, normalize_model_name, object_name
from .references import is_url
from .status import Status
from .structural import ANYTHING, INT_OR_STRING

# Bounds keep the object small and the CEL transition rule within the API server's cost limit.
DataReference = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
"""A path or name, or a URL with its signature."""
ClassName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
ArgumentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
ModelReference = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=256, pattern=r"^([A-Za-z0-9._/-]+|run:[^/]+/(best|last)(\.pt)?)$"
    ),
]
"""A file's name, or a run's: a model name may have letters of any script, and blanks."""
AnyName = Annotated[str, StringConstraints(max_length=64)]
"""Whatever a person writes for an argument's name: prepare says which one was meant."""
_ARGUMENT_TEXT_MAX = 256
_ARGUMENT_ITEMS_MAX = 64


def _argument_as_text(value: object) -> object:
    """A JSON value as the text that Ultralytics' command line reads it from; a text as it is."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if _is_number(value) or (isinstance(value, list) and all(map(_is_number, value))):
        return json.dumps(value)
    raise ValueError("takes a number, true or false, null, a text, or a list of numbers such as [0, 1, 2]")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


ArgumentValue = Annotated[
    str,
    BeforeValidator(_argument_as_text),
    StringConstraints(max_length=_ARGUMENT_TEXT_MAX),
    WithJsonSchema(
        {
            ANYTHING: True,
            "nullable": True,
            "maxLength": _ARGUMENT_TEXT_MAX,
            "maxItems": _ARGUMENT_ITEMS_MAX,
            "maxProperties": 0,
        }
    ),
]
"""The value of an argument as people write it: number, true or false, null, text or a list of numbers. Stored
as it was written, and read as the text that means the same on Ultralytics' command line."""
_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
_QUANTITY_MAX = 16


def _quantity_as_text(value: object) -> object:
    """A number as the text that means the same; all else as it is."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Quantity = Annotated[
    str,
    BeforeValidator(_quantity_as_text),
    StringConstraints(pattern=_QUANTITY, max_length=_QUANTITY_MAX),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            INT_OR_STRING: True,
            "pattern": _QUANTITY,
            "maxLength": _QUANTITY_MAX,
            "minimum": 0,
            "maximum": 10**15 - 1,  # exact as a floating point number, as which Helm reads it
        }
    ),
]
"""A Kubernetes quantity: text, or a whole number as everywhere in Kubernetes. Stored as it was written."""
ResourceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]+/[A-Za-z0-9_.-]+$", max_length=128)]
ImageReference = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][A-Za-z0-9._:/@-]*$", min_length=1, max_length=512)
]
QueueName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1, max_length=63)
]
"""Name of an object that a label names."""

LabelKey = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$",
        max_length=317,
    ),
]
"""Key of a label: 63 characters, after a DNS name and a slash where it has a prefix."""

_UNITS = {unit: 1000**i for i, unit in enumerate("kMGT", 1)} | {
    f"{u}i": 1024**i for i, u in enumerate("KMGT", 1)
}


def parse_quantity(text: str) -> int:
    """The number that a `Quantity` means, rounded up. Raises ValueError for anything else."""
    found = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", text)
    if found is None:
        raise ValueError(f"{text!r} is no quantity")
    number, unit = float(found[1]), found[2]
    return math.ceil(number / 1000) if unit == "m" else math.ceil(number * (_UNITS[unit] if unit else 1))


# The API server fills in the defaults below a field only where the field itself is there.
_DEFAULTED: dict[str, JsonValue] = {"default": {}}

WORKERS_BESIDE_GPU = 8
"""Ultralytics' own default; on the CPU it takes none, whatever was asked for."""

Task = Literal["detect", "segment", "semantic", "depth", "classify", "pose", "obb"]


LostLabels = Literal["refuse", "leaveOut", "background"]
MissingClasses = Literal["refuse", "refuseTypos", "allow"]


class Data(Model):
    """The labelled images. Paths are absolute, or relative to the data volume's root."""

    train: DataReference
    """What to train on: UCD data set (a name below `ucd/`, or a path to its .json or .uci), YOLO folder or
    data.yaml, COCO .json, folder of COCO, Pascal VOC or LabelMe labels, or a .zip or .tar(.gz) of these.
    Where the installation fetches: a UCD data set of its server, or the https URL of an archive."""
    val: DataReference | None = None
    """The same for validation. Unset: a part of the training set is split off (`valFraction`, `seed`)."""
    image: ImageReference | None = None
    """OCI image that holds the data set, mounted read-only while it is prepared (an image volume); `train`
    and `val` are then paths within it, `.` for all of it. Pictures are copied into the prepared set."""
    labels: list[ClassName] = Field(default_factory=list, max_length=1000)
    """Class names, each once; the order is the class index. Unset: those of a YOLO data.yaml or COCO file."""
    crowd: Literal["ignore", "take"] = "ignore"
    """What a COCO file's `iscrowd: 1` means: a group, which is left out as COCO does, or, as several tools
    write masks, one object."""
    val_fraction: float = Field(default=0.2, ge=0.01, le=0.9)
    """Part of the training set that is split off for validation when `val` is unset."""
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Seed of that split."""
    verify: Literal["decode", "header"] = "decode"
    """How deep images are checked: decoded whole, or, in less than half the time, by their header alone."""
    copy_images: bool = False
    """Copy images into the prepared set instead of linking to them; their files may then change or go."""
    lost_labels: LostLabels = "refuse"
    """What becomes of an image of whose labels of listed classes none can be used (outside of the image,
    without size, of a kind that the task does not take …): `refuse` fails before a GPU is asked for and names
    them, `leaveOut` trains without these images, `background` takes them as images of nothing."""
    missing_classes: MissingClasses = "refuse"
    """What becomes of a class in `labels` that occurs nowhere in the data: `refuse` fails before a GPU is
    asked for and says what was perhaps meant, `refuseTypos` only where an unlisted label of the data is
    plainly the same name (case, blanks, a letter), `allow` trains without it and says so."""

    @property
    def from_web(self) -> bool:
        """Whether a part of it is an archive to be fetched by its URL."""
        return is_url(self.train) or is_url(self.val or "")


class Resources(Model):
    """What each training pod asks for. Requests equal limits for GPUs and memory."""

    gpus: int = Field(default=1, ge=0, le=64)
    """GPUs of each pod; 0 trains on the CPU."""
    nodes: int = Field(default=1, ge=1, le=16)
    """Pods that train as one, each with `gpus` GPUs (at least 1) and all else that is asked for here. They
    start together or not at all, and when one of them fails all start again."""
    gpu_resource: ResourceName = "nvidia.com/gpu"
    """Extended resource that stands for a GPU: `nvidia.com/gpu`, a MIG profile, another vendor's."""
    cpu: Quantity = "2"
    """CPU request of the training pod; its threads and data-loader processes are as many, rounded up."""
    cpu_limit: Quantity | None = None
    """CPU limit of the training pod, at least `cpu`; the prepare pod then has its own request as its limit.
    Unset: none, unless the installation sets one. For namespaces whose quota demands it: it gains nothing."""
    memory: Quantity = "16Gi"
    """Memory request and limit of the training pod; `sharedMemory` counts in it."""
    shared_memory: Quantity = "8Gi"
    """Size of /dev/shm, which data-loader workers fill."""
    cache_storage: Quantity = "20Gi"
    """Most that `cache: disk` may take of the node's disk; a pod that takes more is evicted."""

    @property
    def all_gpus(self) -> int:
        """GPUs of all pods together."""
        return self.gpus * self.nodes


class Toleration(Model):
    """A Kubernetes toleration."""

    key: ShortText | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: ShortText | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: int | None = Field(default=None, ge=0, le=86_400)


class Scheduling(Model):
    """Where the training pod may run, and which queue lets it."""

    queue_name: QueueName | None = None
    """Kueue's LocalQueue for the train Job. Unset: the installation's, by default none. Like all of the
    template it holds for the whole run; the operator never touches the label of a Job that is there."""
    prepare_queue_name: QueueName | None = None
    """The same for the prepare Job, which needs no GPU: normally unset, since trainings whose data is checked
    in a queue reach the train queue in another order."""
    workload_priority_class: QueueName | None = None
    """Name of a Kueue WorkloadPriorityClass, for the order in the queue and for preemption."""
    node_selector: dict[str, ShortText] = Field(default_factory=dict, max_length=16)
    """Labels that the node must have."""
    tolerations: list[Toleration] = Field(default_factory=list, max_length=16)
    """Taints that the pod tolerates, besides those that the operator always adds."""
    priority_class_name: ShortText | None = None
    """Name of a PriorityClass."""
    runtime_class_name: ShortText | None = None
    """Name of a RuntimeClass, such as `nvidia`."""
    required_topology: LabelKey | None = None
    """Key of a node label, such as a rack's: all pods of a training on several nodes run where it has one and
    the same value. In a queue it is a level of Kueue's Topology, else the pods' affinity to each other."""


class SaveInterval(Model):
    """How often the whole state is saved, from which a training goes on. A stop saves it in any case."""

    epochs: int = Field(default=1, ge=1, le=100_000)
    """At the end of every so many epochs, of the last one, and of each that is the best so far."""
    minutes: float = Field(default=10, ge=0, le=100_000)
    """Within an epoch, when so many minutes have passed since the last time; 0 never."""


class Template(Model):
    """What is trained. Changes only together with a higher `spec.run`; names are Ultralytics' arguments."""

    model: ModelReference
    """A bare name or .pt starts from pretrained weights (`<data volume>/weights`), a .yaml from scratch,
    `run:<model name>/best` (or `/last`) from what an earlier training of the namespace has learnt."""
    task: Task | None = None
    """Kind of training. Unset: that of the earlier run, else inferred from the model's name."""
    data: Data
    """The data set."""
    epochs: int = Field(default=100, ge=1, le=100_000)
    """Epochs in all; a resumed run goes on up to this number."""
    batch: float = Field(default=16, ge=-1, le=65_536)
    """Images a step over all GPUs of all nodes, a multiple of them where there are several; with one, -1
    chooses by its memory, and a fraction below 1 is that part of it."""
    imgsz: int = Field(default=640, ge=32, le=8192)
    """Edge of the square training image in pixels; rounded up to a multiple of 32."""
    workers: int | None = Field(default=None, ge=0, le=256)
    """Data-loader processes of each GPU; never more than the pod's CPUs allow. Unset: 8, and none on the CPU,
    where training needs all of them itself."""
    patience: int = Field(default=100, ge=0, le=100_000)
    """Epochs without improvement after which training ends early; 0 never."""
    optimizer: Annotated[str, StringConstraints(max_length=32, pattern=r"^[A-Za-z]+$")] | None = None
    """Optimizer by Ultralytics' name; `auto` ignores lr0, momentum and warmup_bias_lr. Unset: SGD where one
    of these is given, else `auto`."""
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    """Seed of the training."""
    cache: Literal["none", "ram", "disk"] = "none"
    """Where decoded images are kept between epochs: in memory, on the node's disk (`resources.cacheStorage`),
    or nowhere. What does not fit into memory goes to the disk, or else nowhere, with a warning."""
    amp: bool = True
    """Automatic mixed precision."""
    time: float | None = Field(default=None, ge=0.001, le=10_000)
    """Hours after which training ends; overrides `epochs` when set."""
    save_period: int = Field(default=-1, ge=-1, le=100_000)
    """Every how many epochs a numbered checkpoint is kept; -1 never."""
    save_interval: SaveInterval = Field(default_factory=SaveInterval, json_schema_extra=_DEFAULTED)
    """How often the state is saved that a training goes on from after a stop or a failure."""
    hyperparameters: dict[ArgumentName, float] = Field(default_factory=dict, max_length=128)
    """Ultralytics' numeric hyperparameters by name, such as `lr0: 0.01`. Numbers alone: some readers of YAML,
    such as Ansible, take `1e-3` for a text; write `0.001`."""
    extra_args: dict[AnyName, ArgumentValue] = Field(default_factory=dict, max_length=64)
    """Any other Ultralytics argument, the value as in its own YAML files or as on its command line, such as
    `cos_lr: true`, `freeze: [0, 1]` or `freeze: "[0, 1]"`."""
    resources: Resources = Field(default_factory=Resources, json_schema_extra=_DEFAULTED)
    """What the training pod asks for."""
    scheduling: Scheduling = Field(default_factory=Scheduling, json_schema_extra=_DEFAULTED)
    """Where the training pod may run."""

    @property
    def workers_wanted(self) -> int:
        """Data-loader processes that are asked for, before the pod's CPUs bound them."""
        if self.workers is None:
            return WORKERS_BESIDE_GPU if self.resources.gpus else 0
        return self.workers


_SECONDS_MAX = 315_360_000
"""Ten years: no limit for a person, a bound for the API server."""


class Lifecycle(Model):
    """Limits in time and number; may change at any time."""

    max_restarts: int = Field(default=3, ge=0, le=1000)
    """How often a run is started again after a failure that another try can mend."""
    pending_deadline_seconds: int | None = Field(default=None, ge=1, le=_SECONDS_MAX)
    """Longest wait for a pod to start, in seconds; then the run fails. Unset: for ever. Time in a queue does
    not count, nor the grace period that a pod which a queue has displaced may take to leave."""
    active_deadline_seconds: int | None = Field(default=None, ge=1, le=_SECONDS_MAX)
    """Longest training time, in seconds; then the run fails and can be resumed."""
    active_deadline_scope: Literal["Run", "Attempt"] = "Run"
    """Whose training time `activeDeadlineSeconds` bounds: that of all attempts of the run together, or that
    of each attempt anew. Waiting and preparing data count in neither."""
    stall_timeout_seconds: int = Field(default=1800, ge=10, le=_SECONDS_MAX)
    """Longest time without a finished batch, in seconds; then the attempt ends as hung."""
    ttl_seconds_after_finished: int | None = Field(default=None, ge=0, le=_SECONDS_MAX)
    """Delete this object so many seconds after its end; the run folder stays. Unset: never."""
    termination_grace_period_seconds: int = Field(default=60, ge=5, le=3600)
    """Time that a pod has to save and leave when it is asked to end."""

    def active_seconds_left(self, trained: int) -> int | None:
        """How long an attempt may train when earlier attempts of its run have trained for `trained` seconds.

        None: without a limit. 0 or less: the run has used it up.
        """
        if self.active_deadline_seconds is None or self.active_deadline_scope == "Attempt":
            return self.active_deadline_seconds
        return self.active_deadline_seconds - trained


class Spec(Model):
    """What a user asks for."""

    model_name: Annotated[str, StringConstraints(min_length=2, max_length=128)] | None = None
    """Name of the model and of its run folder; unset: the object's name. Never changes."""
    run: int = Field(default=1, ge=1, le=99_999)
    """Number of the run; raise it to train again, with or without another template."""
    resume: bool = False
    """Start this run from the last checkpoint of the folder; without one it starts afresh and says so."""
    stop: bool = False
    """End the run: the pod saves and leaves, the phase becomes Terminated."""
    suspend: bool = False
    """Free the GPU but keep the run; false lets it go on from the last checkpoint."""
    lifecycle: Lifecycle = Field(default_factory=Lifecycle, json_schema_extra=_DEFAULTED)
    """Limits in time and number."""
    template: Template
    """What is trained."""

    @model_validator(mode="after")
    def _check_model_name(self) -> Self:
        if self.model_name is not None:
            normalize_model_name(self.model_name)
        return self


class YoloTraining(Lenient):
    """A training of a YOLO model: one object a run folder."""

    api_version: str = API_VERSION
    kind: str = KIND
    metadata: dict[str, object] = Field(default_factory=dict)
    spec: Spec
    status: Status = Field(default_factory=Status)

    @property
    def name(self) -> str:
        return str(self.metadata["name"])

    @property
    def namespace(self) -> str:
        return str(self.metadata.get("namespace", "default"))

    @property
    def uid(self) -> str:
        return str(self.metadata.get("uid", ""))

    @property
    def generation(self) -> int:
        return int(str(self.metadata.get("generation", 0)))

    @property
    def model_name(self) -> str:
        """`spec.modelName` in NFC, by default the object's name."""
        return normalize_model_name(self.spec.model_name or self.name)

    @property
    def wanted_name(self) -> str:
        """The only object name under which this model name is accepted."""
        return object_name(self.model_name)
