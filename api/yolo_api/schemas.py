"""The bodies of the old calls: what a client may send and what it gets."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from yolo_crds.meta import normalize_model_name
from yolo_crds.training import LostLabels, MissingClasses

MAX_GPUS = 64


def _to_gpus(value: object) -> int:
    """How many GPUs an old `device` means. The scheduler chooses which: an index only says "one"."""
    if isinstance(value, str):
        value = value.strip().lower().removeprefix("cuda:")
        if value in ("", "cuda"):
            return 1
        if value == "cpu":
            return 0
        value = [part.strip() for part in value.split(",")] if "," in value else value
    many = value if isinstance(value, list) else [value]
    try:
        numbers = [int(str(one)) for one in many]
    except ValueError:
        raise ValueError(_DEVICE) from None
    if isinstance(value, list):
        if not numbers or min(numbers) < 0 or len(set(numbers)) < len(numbers):
            raise ValueError(_DEVICE)
        if len(numbers) > MAX_GPUS:
            raise ValueError(f"at most {MAX_GPUS} GPUs, got {len(numbers)}")
        return len(numbers)
    if numbers[0] < -1:
        raise ValueError(_DEVICE)
    return 0 if numbers[0] == -1 else 1


_DEVICE = 'must be an index from 0 (one GPU), a list such as "0,1" or [0, 1] (so many GPUs), or "cpu" or -1'


def _no_truth_value(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"must be a whole number, got {str(value).lower()}")  # noqa: TRY004 - for pydantic
    return value


Whole = Annotated[int, BeforeValidator(_no_truth_value)]
"""A whole number, or one as a string."""


class Legacy(BaseModel):
    """A value in the old server's snake_case form."""

    model_config = ConfigDict(protected_namespaces=(), use_attribute_docstrings=True)


class StartRequest(Legacy):
    """A training as old clients ask for it. Numbers may be strings; null means the default."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        json_schema_extra={
            "example": {
                "model_type": "yolov5s",
                "batch_size": 16,
                "device": 0,
                "epochs": 100,
                "imgsz": 640,
                "model_name": "helmet",
                "train_ucd": "helmet_demo",
                "val_ucd": "None",
                "labels": "helmet,person",
                "hyp_dict": {"lr0": 0.01, "mosaic": 1.0},
            }
        },
    )

    model_name: str
    """Name of the model and of its run folder: 2 to 128 letters (any script), digits, `. _ -`, blanks."""
    train_ucd: str = Field(min_length=1, max_length=2048)
    """UCD data set to train on, a path on the data volume (UCD, YOLO, COCO, VOC, LabelMe, zip, tar), or the
    https URL of an archive where the installation fetches those."""
    val_ucd: str = Field(max_length=2048)
    """The same for validation; `None` or empty: split the training set 80/20."""
    labels: str = Field(min_length=1, max_length=131_072)
    """Class names joined by `,` in the order of their indices, or a text file on the data volume."""
    model_type: str = Field(default="yolov5s", min_length=1, max_length=250)
    """Architecture or checkpoint. A bare name or .pt: pretrained; .yaml: from scratch."""
    batch_size: Whole = Field(default=10, ge=-1, le=65_536)
    """Images a step; -1: as many as the GPU's memory allows."""
    device: Annotated[
        int,
        BeforeValidator(_to_gpus),
        Field(json_schema_extra={"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "array"}]}),
    ] = Field(default=0, validate_default=True)
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
    """What becomes of images of whose labels none can be used, as `template.data.lostLabels`. Old clients,
    which cannot say it, train without these images and are told so."""
    missing_classes: MissingClasses = "refuseTypos"
    """What becomes of `labels` that occur nowhere in the data, as `template.data.missingClasses`. Old clients
    may share one list among data sets; what is plainly a typo is refused all the same."""
    hyp_dict: dict[str, Any] = Field(default_factory=dict)
    """Hyperparameters by YOLOv5's or Ultralytics' names."""

    @model_validator(mode="before")
    @classmethod
    def _null_means_default(cls, body: object) -> object:
        if not isinstance(body, dict):
            return body
        sent = {key: value for key, value in body.items() if value is not None}
        return {**sent, "val_ucd": ""} if "val_ucd" in body and "val_ucd" not in sent else sent

    @field_validator("model_name")
    @classmethod
    def _check_model_name(cls, name: str) -> str:
        return normalize_model_name(name)

    @field_validator("batch_size")
    @classmethod
    def _check_batch_size(cls, size: int) -> int:
        if size == 0:
            raise ValueError("must be at least 1, or -1 to choose by the GPU's memory")
        return size


class ErrorField(Legacy):
    """One wrong field of a request."""

    field: str
    message: str


class ErrorAnswer(Legacy):
    """The body of every error."""

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
    """Pending, Preparing, Queued, Starting, Running, Suspended, Succeeded, Failed or Terminated."""
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
