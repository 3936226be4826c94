"""The bodies of the old calls: what a client may send and what it gets."""

import json
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from yolo_crds.meta import normalize_model_name
from yolo_crds.training import LostLabels, MissingClasses

from . import examples
from .legacy_values import BatchSize, Gpus, HypDict, Labels, Legacy, Whole
from .options import SpecOptions


def _is_text(value: object) -> bool:
    """Whether UTF-8 can hold all texts in a JSON value."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


class StartRequest(SpecOptions):
    """A training as old clients ask for it, and with further keys for all that the custom resource has.
    Numbers may be strings; null means the default."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
    )

    model_name: str
    """Name of the model and of its run folder: 2 to 128 letters (any script), digits, `. _ -`, blanks."""
    train_ucd: str = Field(min_length=1, max_length=2048)
    """UCD data set to train on, a path on the data volume (UCD, YOLO, COCO, VOC, LabelMe, zip, tar), or the
    https URL of an archive where the installation fetches those."""
    val_ucd: str = Field(max_length=2048)
    """The same for validation; `None` or empty: split the training set 80/20."""
    labels: Labels = Field(min_length=1, max_length=131_072)
    """Class names in the order of their indices: joined by `,`, as a list, or the path of a text file on the
    data volume with one name a line. A text with `/`, or that ends as such a file does, is a path."""
    model_type: str = Field(default="yolov5s", min_length=1, max_length=250)
    """Architecture or checkpoint. A bare name or .pt: pretrained; .yaml: from scratch; run:<model name>/best
    (or /last): what an earlier training has learnt."""
    batch_size: BatchSize = 10
    """Images a step; -1: as many as the GPU's memory allows, or below 1 that part of it."""
    device: Gpus = Field(default=0, validate_default=True)
    """An index (one GPU), `0,1` or [0, 1] (so many GPUs), `cpu` or -1 (none). Here: the number of GPUs."""
    epochs: Whole = Field(default=30, ge=1, le=100_000)
    """Epochs in all."""
    imgsz: Whole = Field(default=640, ge=1, le=8192)
    """Edge of the training image in pixels, rounded up to a multiple of 32."""
    workers: Whole | None = Field(default=None, ge=0, le=256)
    """Data-loader processes of each GPU. Unset: 8, and none on the CPU."""
    continue_train: bool = False
    """Go on from this model's last checkpoint, with these new options."""
    lost_labels: LostLabels = "leaveOut"
    """What becomes of images of whose labels none can be used: `refuse` fails before a GPU is asked for,
    `leaveOut` trains without them and says so, `background` takes them as images of nothing."""
    missing_classes: MissingClasses = "refuseTypos"
    """What becomes of `labels` that occur nowhere in the data: `refuse` fails before a GPU is asked for,
    `refuseTypos` only where the data has another label that is plainly the same name, `allow` trains without
    them and says so."""
    hyp_dict: HypDict = Field(default_factory=dict)
    """Hyperparameters by YOLOv5's names, and every argument of Ultralytics by its own."""

    @model_validator(mode="before")
    @classmethod
    def _null_means_default(cls, body: object) -> object:
        if not isinstance(body, dict):
            return body
        if broken := next((key for key, value in body.items() if not _is_text([key, value])), None):
            raise ValueError(
                f"{broken!r} holds half of a character (a lone surrogate), which no UTF-8 can hold"
            )
        sent = {key: value for key, value in body.items() if value is not None}
        return {**sent, "val_ucd": ""} if "val_ucd" in body and "val_ucd" not in sent else sent

    def option(self, key: str) -> Any:
        """The value of one of the further keys, which a type checker cannot know; None where it is unset."""
        return getattr(self, key)

    @field_validator("model_name")
    @classmethod
    def _check_model_name(cls, name: str) -> str:
        return normalize_model_name(name)


class ErrorField(Legacy):
    """One wrong field of a request."""

    field: str
    message: str


class ErrorAnswer(Legacy):
    """The body of every error."""

    model_config = ConfigDict(json_schema_extra={"example": examples.ERROR})

    detail: str
    """What is wrong, and what would be right."""
    error: str
    """The same text, under the old server's key."""
    errors: list[ErrorField] | None = None
    """Field by field, when fields of the request are wrong."""


class Message(Legacy):
    """A confirmation."""

    message: str


class StartAnswer(Message):
    """What `POST /start` answers."""

    safe_code: dict[str, str]
    """The training's unique id by its model name."""
    model_name: str
    """The name as it was taken (in Unicode's NFC form)."""
    warnings: list[str]
    """What was changed or ignored in the request; `/status` shows them too."""


class HolderInfo(Legacy):
    """A training that holds what another one waits for."""

    name: str
    """Its name; of another namespace no more than the namespace."""
    node: str
    amount: str
    """Such as `2 GPUs`."""
    ends_at: str | None
    """RFC 3339, UTC, by its own ETA; null while it has told none."""


class WaitingInfo(Legacy):
    """What a training waits for; `message` says the same in a sentence, with what is free where."""

    since: str | None
    """RFC 3339, UTC."""
    asked: str | None
    """Such as `2 GPUs on one node`; null while a queue holds it."""
    place: int | None
    """In its queue, or among those known to wait for the same resource; null: alone, or nobody tells."""
    starts_at: str | None
    """RFC 3339, UTC; null where a forecast would have no basis."""
    basis: str | None
    """What the forecast was made from."""
    holders: list[HolderInfo]
    """Those that end first, at most 8."""


class ModelStatus(Legacy):
    """How one training stands; null: not known (yet)."""

    phase: str
    """Pending, Preparing, Queued, Starting, Running, Suspended, Succeeded, Failed, Terminated; or Unserved,
    where its operator was uninstalled."""
    reason: str | None
    """One word of why."""
    message: str | None
    """A sentence of why."""
    updated_at: str | None = None
    """When the operator last wrote what is told here, RFC 3339, UTC: ten minutes ago at most while the
    training waits or trains; of an ended one when it ended."""
    stale: bool = False
    """The operator should have written since: it does not run, or not serve this namespace. All else is as of
    `updated_at`."""
    waiting: WaitingInfo | None
    """While it waits for a node or in a queue: for what, since when, and when it may start."""
    epoch: int | None
    epochs: int | None
    percent: float | None
    eta_seconds: int | None
    metrics: dict[str, float]
    """Newest validation metrics by Ultralytics' names."""
    headline: str | None = None
    """The one that the task is judged by, such as `mAP50-95 0.61` or `mask mAP50-95 0.61`."""
    restarts: int
    started_at: str | None
    finished_at: str | None
    """RFC 3339, UTC."""
    warnings: list[str]
    """What was changed or ignored in the request, and what went on with it all the same."""


class StatusAnswer(Legacy):
    """What `GET /status` answers. Lists of model names, each in one of the last three or in `Running`."""

    Running: list[str]
    """Not ended: what old clients wait for to go away."""
    Pending: list[str]
    """Those of `Running` that do not train yet, or are suspended."""
    Succeeded: list[str]
    Failed: list[str]
    Terminated: list[str]
    models: dict[str, ModelStatus]


class TrainInfo(Legacy):
    """Lines of a run folder's files; null where there is no such file."""

    train_log_std: list[str] | None
    opt_yaml: list[str] | None
    train_log_err: list[str] | None


class ClearedAnswer(Message):
    """What `/clear_train_cache` answers."""

    clear_cache_success: list[str]
    clear_cache_failed: dict[str, str]
    """Why, by model name."""


class CacheInfo(Legacy):
    """Names of the folders on the run volume."""

    train_info: list[str]
    train: list[str]


class GpuProcessInfo(Legacy):
    """A process on a GPU, as its node numbers it."""

    pid: int
    memory: int | None = None
    """MiB."""
    kind: str
    """`compute` or `graphics`."""


class GpuXidInfo(Legacy):
    """An error that NVIDIA's driver told about a GPU."""

    code: int
    at: str
    """RFC 3339, UTC."""


class GpuInfo(Legacy):
    """One GPU of the cluster, or one MIG device of a GPU that is parted. null: not known."""

    name: str
    index: int
    """Counts through the array: by the nodes' names, then as NVML does on the node."""
    memory_used: int
    memory_total: int
    """MiB, never null since old clients count with it. 0: not known, and neither is what is used. Of a lost
    GPU all is used.
    """
    node: str
    node_index: int | None = None
    """What nvidia-smi on the node calls it."""
    uuid: str = ""
    gpu_uuid: str = ""
    """Of the whole GPU, where `uuid` is a MIG device's."""
    utilization: float | None = None
    """Percent; null for a MIG device."""
    temperature: float | None = None
    """Degrees Celsius, of the whole GPU."""
    power_draw: float | None = None
    """Watts, of the whole GPU."""
    processes: list[GpuProcessInfo] | None = None
    """What the node's driver shows; with newer drivers not those of pods."""
    health: str | None = None
    """ok, faulty or lost."""
    xids: list[GpuXidInfo] = Field(default_factory=list)
    """Newest errors, oldest first."""
    free: bool | None = None
    """Whether nobody holds it and it can be worked with."""
    model_name: str | None = None
    """Whose training of this namespace holds it; joined by commas where it is shared in time."""
    namespace: str | None = None
    """Whose pod holds it."""
    pod: str | None = None
    """Which, if it is one of this namespace."""
    stale: bool = False
    """Its node does not answer: all values are those of `seen_at`. With `source: requests`: the agents cannot
    be looked up now, so its node may have one.
    """
    seen_at: str | None = None
    """RFC 3339, UTC."""
    source: Literal["agent", "requests"] = "agent"
    """Who says so: the node's agent, or the requests of this namespace's pods on nodes without one."""


class NamesAnswer(Legacy):
    """Model names."""

    status: str
    model_name_list: list[str]


class InfoAnswer(Legacy):
    """Lines about a training."""

    status: str
    info: list[str]


class TypesAnswer(Legacy):
    """Values for `model_type`."""

    status: str
    model_type_list: list[str]
