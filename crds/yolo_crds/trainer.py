"""What goes into the trainer (one JSON configuration) and what comes out: progress lines on stdout,
a termination message, an exit code, and files on the run volume.
"""

import json
from enum import IntEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from .base import Lenient, Model, Sentence
from .conditions import Reason
from .meta import Stage
from .status import Best, Dataset, Weights
from .training import Data, Task, Template

PROGRESS_PREFIX = "YOLO-PROGRESS "
PROGRESS_VERSION = 1
PROGRESS_MAX_BYTES = 4096
"""Each progress line is complete in itself and at most this long."""
PROGRESS_EVERY_LINES = 100
"""At least one progress line in any so many lines of output, so that a log tail of 200 always has one."""
TERMINATION_MESSAGE_MAX_BYTES = 3500
"""The kubelet keeps the last 4,096 bytes of /dev/termination-log; ASCII, so bytes are characters."""
_TIME_MOST = 2**36
"""Unix seconds, of the year 4147. Whatever runs in a pod may print a line, and most numbers are no date."""
RENDEZVOUS_PORT = 29500
"""Of the store in the pod with index 0, where the pods of one training meet; PyTorch's own default."""


NOTHING_LEFT = "nothing to train: "
"""How the warning begins of a resume that has done nothing, since all that was asked for was done before."""


class ExitCode(IntEnum):
    """Exit codes of the trainer."""

    DONE = 0
    CONFIGURATION = 2
    DATA = 3
    FAILED = 4
    NO_ACCELERATOR = 5
    DISK_FULL = 6
    HUNG = 7
    WORKER_KILLED = 8
    FENCED = 9
    GPU_FAULT = 10
    FETCH_FAILED = 11
    VOLUME_UNAVAILABLE = 12
    PEER_LOST = 13
    INTERRUPTED = 143


EXIT_REASONS: dict[ExitCode, Reason] = {
    ExitCode.CONFIGURATION: Reason.INVALID_ARGUMENTS,
    ExitCode.DATA: Reason.INVALID_DATA,
    ExitCode.FAILED: Reason.TRAINING_FAILED,
    ExitCode.NO_ACCELERATOR: Reason.NO_ACCELERATOR,
    ExitCode.DISK_FULL: Reason.DISK_FULL,
    ExitCode.HUNG: Reason.HUNG,
    ExitCode.WORKER_KILLED: Reason.WORKER_KILLED,
    ExitCode.FENCED: Reason.FENCED,
    ExitCode.GPU_FAULT: Reason.GPU_FAULT,
    ExitCode.FETCH_FAILED: Reason.FETCH_FAILED,
    ExitCode.VOLUME_UNAVAILABLE: Reason.VOLUME_UNAVAILABLE,
    ExitCode.PEER_LOST: Reason.PEER_LOST,
    ExitCode.INTERRUPTED: Reason.INTERRUPTED,
}
"""The reason that an exit code means when no termination message says more."""


BaseUrl = Annotated[
    str,
    StringConstraints(
        pattern=r"^https?://(\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]]+)(:[1-9][0-9]{0,4})?(/[^\s?#]*)?$",
        max_length=512,
    ),
]
"""Without user, query and fragment."""


class Fetch(Model):
    """What prepare may fetch over the network: the installer's choice."""

    ucd_server: BaseUrl | None = None
    """Base URL of a UCD server, `http://host:port`: data sets by name and images that the volume lacks."""
    archives: bool = False
    """Take `https://` URLs of archives in `data.train` and `data.val`."""
    archive_hosts: list[str] = Field(default_factory=list)
    """Hosts that archives may come from, `*.` before a domain for all below it; empty: any public one."""
    parallel: int = Field(default=10, ge=1, le=64)
    """Downloads of images at a time."""
    max_image_bytes: int = Field(default=64 << 20, ge=1)
    max_archive_bytes: int = Field(default=100 << 30, ge=1)

    def is_wanted_for(self, data: Data) -> bool:
        """Whether prepare may have to reach the network for this data set."""
        return self.ucd_server is not None or (self.archives and data.from_web)


class TrainerConfig(Model):
    """All that the trainer is told. From the environment (`config_env`) in a pod, else from a file.

    Without `stage` both stages run one after the other, as a person on a workstation wants it.
    """

    stage: Stage | None = None
    name: str
    """Object name of the training."""
    uid: str
    """Of the object: tells the runs of objects apart that reuse a model name."""
    created: float | None = None
    """When the object was created, in Unix seconds: of two objects of one model name the later one counts."""
    model_name: str
    run: int = Field(default=1, ge=1)
    attempt: int = Field(default=1, ge=1)
    resume: bool = False
    """Go on from the folder's last checkpoint, whichever run wrote it. An attempt after the first goes on
    from its own run's last checkpoint in any case."""
    template: Template
    overrides: dict[str, str | float | bool] = Field(default_factory=dict)
    """Ultralytics arguments that the operator changed as a remedy; they win over the template's."""
    gpu_share: float | None = Field(default=None, gt=0, le=1)
    """Part of its GPU's memory that this training may count on, where pods share GPUs; unset: all of it."""
    fetch: Fetch | None = None
    """Unset: nothing comes over the network."""
    rendezvous: str | None = None
    """DNS name of the pod with index 0, where the pods of a training on several nodes meet
    (`RENDEZVOUS_PORT`); each knows its own index by JOB_COMPLETION_INDEX. Unset: one pod trains alone."""
    data_dir: str = "/data"
    runs_dir: str = "/runs"
    artifact_dir: str = "/dataset"
    """Where the files of `template.data.image` are mounted."""
    cache_dir: str = "/cache"
    """Where decoded images may be kept (`template.cache`); where there is no such folder, they are not."""
    stall_timeout_seconds: int = Field(default=1800, ge=10)
    active_deadline_seconds: int | None = None
    """How long this attempt may train; what earlier attempts of the run have used is taken off."""
    grace_period_seconds: int = Field(default=60, ge=5)
    time_zone: str = "UTC"
    """IANA name; of the time stamps in the old log lines."""


class ProgressLine(Lenient):
    """One state of the attempt. NaN and infinities are null. Numbers of epochs count from 1."""

    v: int = PROGRESS_VERSION
    seq: int
    time: float = Field(ge=0, le=_TIME_MOST)
    """Unix seconds."""
    stage: str
    """import, scan, cache, epoch, val, save, export; prepare: fetch, unpack, scan, verify,
    convert."""
    epoch: int | None = None
    """The running epoch (from 1); between epochs the last finished one."""
    epochs: int | None = None
    batch: int | None = None
    batches: int | None = None
    percent: float | None = None
    eta_seconds: int | None = None
    images_per_second: float | None = None
    metrics: dict[str, float | None] = Field(default_factory=dict)
    """Newest validation metrics by Ultralytics' names, `metrics/mAP50-95(B)` and so on."""
    fitness: float | None = None
    best: Best | None = None
    warning: Sentence | None = None
    """The newest that does not wait for the end, as of a GPU that is failing."""

    def to_line(self) -> str:
        """The line as printed, ASCII, without a line break."""
        return PROGRESS_PREFIX + json.dumps(self.to_wire(), separators=(",", ":"))


def parse_progress(line: str) -> ProgressLine | None:
    """The progress in a log line; None for any other line, a torn one or one of an unknown version."""
    _, found, text = line.partition(PROGRESS_PREFIX)
    if not found:
        return None
    try:
        parsed = ProgressLine.model_validate_json(text)
    except ValueError:
        return None
    return parsed if parsed.v == PROGRESS_VERSION else None


class Result(Lenient):
    """How an attempt's stage ended: whole in `result.json`, shortened in the termination message."""

    v: int = 1
    stage: Stage
    uid: str
    run: int
    attempt: int
    exit_code: int
    reason: Reason | None = None
    """Unset when all went well."""
    message: Sentence = ""
    """One sentence for a person."""
    hint: Sentence | None = None
    epochs_done: int | None = None
    epochs: int | None = None
    metrics: dict[str, float | None] = Field(default_factory=dict)
    best: Best | None = None
    weights: Weights | None = None
    dataset: Dataset | None = None
    warnings: list[Sentence] = Field(default_factory=list)
    started_at: float | None = None
    finished_at: float | None = None
    """Unix seconds."""
    finished: "Result | None" = None
    """Set by the stage that finds that this run's training had already ended: its result. Prepare does, and
    train where it was started all the same; nothing is trained twice."""

    def to_termination_message(self) -> str:
        """ASCII JSON of at most `TERMINATION_MESSAGE_MAX_BYTES`: what can best be spared is left out first.

        What always stays is whose result it is, how it ended, and the weights; of `finished` the epochs too,
        since nobody else would tell that the run has ended.
        """
        wire = self.to_wire()
        for path in _SPARED_OF_TRAIN if self.stage is Stage.TRAIN else _SPARED:
            if len(text := json.dumps(wire, separators=(",", ":"))) <= TERMINATION_MESSAGE_MAX_BYTES:
                return text
            _leave_out(wire, path)
        return json.dumps(wire, separators=(",", ":"))


_MESSAGE_BYTES, _FINISHED_MESSAGE_BYTES = 500, 200
"""Of a message in a termination message that is too long, as JSON."""
_SPARED = (
    ("finished", "finished"),
    ("finished", "dataset", "classes"),
    ("dataset", "classes"),
    ("finished", "warnings"),
    ("warnings",),
    ("finished", "dataset"),
    ("finished", "hint"),
    ("finished", "best", "metrics"),
    ("metrics",),
    ("best", "metrics"),
    ("finished", "message"),
    ("finished", "metrics"),
    ("dataset",),
    ("hint",),
    ("message",),
    ("best",),
    ("finished", "best"),
)
_SPARED_OF_TRAIN = (("dataset",), *_SPARED)
"""What can best be spared of a result, first to last; what the data set is, prepare has told before."""


def _leave_out(wire: dict[str, object], path: tuple[str, ...]) -> None:
    """Takes a part out of a result on the wire; of a message, which is wanted, only its end."""
    inner: object = wire
    for name in path[:-1]:
        inner = inner.get(name) if isinstance(inner, dict) else None
    if not isinstance(inner, dict):
        return
    if path[-1] == "message":
        most = _FINISHED_MESSAGE_BYTES if len(path) > 1 else _MESSAGE_BYTES
        inner["message"] = _cut(str(inner.get("message", "")), most)
    else:
        inner.pop(path[-1], None)


def _cut(text: str, most: int) -> str:
    """The beginning of a text that takes at most so many bytes as JSON, its quotes left aside."""
    while (size := len(json.dumps(text)) - 2) > most:
        text = text[: min(len(text) - 1, len(text) * most // size)]
    return text


def parse_result(text: str) -> Result | None:
    """The result in a termination message or `result.json`; None when there is none to be read."""
    try:
        return Result.model_validate_json(text)
    except ValueError:
        return None


class Prepared(Lenient):
    """What prepare hands to train, on the run volume (`RunFolder.prepared`)."""

    v: int = 1
    uid: str
    run: int
    attempt: int
    dataset: Dataset
    data_yaml: str
    """Absolute path of the Ultralytics data file in the prepared data set."""
    weights: str | None = None
    """Absolute path of the checkpoint or .yaml that `model` means; None: an architecture of the package."""
    task: Task | None = None
    """Kind of training that the checkpoint is made for, where the model's name does not tell it."""
    resume_from: str | None = None
    """Absolute path of the file that prepare found to go on from; None: from the start. Train looks again."""
    warnings: list[Sentence] = Field(default_factory=list)
