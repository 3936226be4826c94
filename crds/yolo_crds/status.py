"""What became of a training: the status of a YoloTraining, and what the trainer reports in the same form."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from .base import Lenient, Sentence, ShortText
from .conditions import HINTS, ConditionType, Phase, Reason


class Progress(Lenient):
    """How far the running attempt is."""

    stage: ShortText | None = None
    """What the trainer is doing: import, scan, cache, epoch, val, save, export."""
    epoch: int | None = None
    """Epochs finished, or the running one's number (from 1)."""
    epochs: int | None = None
    percent: float | None = None
    """Part of the whole run that is done, 0 to 100."""
    eta_seconds: int | None = None
    images_per_second: float | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    """Newest validation metrics by Ultralytics' names."""
    updated_at: str | None = None
    """RFC 3339 time of the line that this came from."""


class Printed(Lenient):
    """Ready strings for `kubectl get`: a printer column can neither format nor choose."""

    reason: str | None = None
    """What to look at: why it failed or waits, such as `OOMKilled`, or `after OOMKilled` in a later attempt;
    with `!2` when there are two warnings besides, or else `2 warnings`."""
    epoch: str | None = None
    """Such as `45/100`."""
    metric: str | None = None
    """The task's headline metric, such as `mAP50-95 0.61`, `mask mAP50-95 0.61` or `pose mAP50-95 0.61`."""
    eta: str | None = None
    """Such as `12m`."""
    place: str | None = None
    """Such as `place 3`, while it waits with others, or in a queue that tells."""


class Queue(Lenient):
    """Where a training waits whose Job somebody else than the operator has suspended, Kueue as a rule."""

    name: ShortText | None = None
    """The LocalQueue."""
    since: str | None = None
    """RFC 3339 time of the Job's suspension."""
    place: int | None = None
    """From 1, among all that wait for the same ClusterQueue, those that can never start included."""


class Forecast(Lenient):
    """When a training that waits may start, as far as those that it waits for have told their ETAs."""

    starts_at: str
    """RFC 3339 time, to the minute."""
    basis: Sentence
    """What it was made from: whose ends, by their own ETAs."""


class WaitsFor(Lenient):
    """A training's pod that holds what another one waits for."""

    name: ShortText
    """The training; of other namespaces no more than the namespace."""
    node: ShortText
    amount: ShortText
    """Such as `2 GPUs`."""
    ends_at: str | None = None
    """RFC 3339 time, by its own ETA; unset while it has told none."""


class Waiting(Lenient):
    """What a training waits for; the same in a sentence, with what is free where: `failure.message`."""

    since: str | None = None
    """RFC 3339 time."""
    asked: ShortText | None = None
    """Such as `2 GPUs on one node`; unset while a queue holds it."""
    place: int | None = None
    """In its queue; without one, among the operator's trainings that wait for the same resource, by priority
    and time. Kubernetes itself keeps no strict order. Unset: alone, or nobody tells."""
    forecast: Forecast | None = None
    """Unset where it would have no basis; the message says why."""
    holders: list[WaitsFor] = Field(default_factory=list)
    """Trainings that hold what it waits for, those that end first, at most 8."""


class Best(Lenient):
    """The best epoch so far."""

    epoch: int
    fitness: float | None = None
    metrics: dict[str, float] = Field(default_factory=dict)


class Weight(Lenient):
    """A checkpoint on the run volume."""

    path: str
    """Relative to the run volume's root."""
    size: int
    """Bytes."""
    sha256: str


class Weights(Lenient):
    """The published checkpoints."""

    best: Weight | None = None
    last: Weight | None = None


class Dataset(Lenient):
    """What prepare found in the data."""

    hash: str
    """Content hash; the folder's name below `prepared/`."""
    kind: ShortText | None = None
    """What the source was taken for, such as `ucd` or `yolo`."""
    images: int = 0
    train_images: int = 0
    val_images: int = 0
    backgrounds: int = 0
    """Images without a box."""
    boxes: int = 0
    classes: dict[str, int] = Field(default_factory=dict)
    """Boxes a class name."""
    skipped: dict[str, int] = Field(default_factory=dict)
    """What was left out, by kind, such as `unknownLabel: 12`."""


class Failure(Lenient):
    """Why the last attempt that failed did so."""

    reason: Reason | str
    message: str
    hint: str | None = None
    exit_code: int | None = None
    node: str | None = None
    attempt: int | None = None


class Remedy(Lenient):
    """An argument that the operator changed after a failure, for this and all later attempts of the run."""

    attempt: int
    """The first attempt that it is for."""
    reason: Reason | str
    """Why the attempt before it failed."""
    argument: ShortText
    before: ShortText
    after: ShortText


class AvoidedNode(Lenient):
    """A node that training pods of this object keep away from, since a GPU failed there."""

    name: ShortText
    since: str
    """When the attempt ended there."""


class RunSummary(Lenient):
    """One line of history a finished run."""

    run: int
    phase: str
    reason: str | None = None
    start_time: str | None = None
    completion_time: str | None = None
    epochs: int | None = None
    metric: str | None = None


class Condition(Lenient):
    """A Kubernetes condition (metav1.Condition)."""

    type: ConditionType | str
    status: Literal["True", "False", "Unknown"]
    observed_generation: int | None = None
    last_transition_time: str
    reason: str
    message: str = ""


class Status(Lenient):
    """What the operator observed; written by it alone."""

    phase: Phase | None = None
    message: str | None = None
    """One sentence: where the training stands, and what a person can do."""
    seen_at: str | None = None
    """RFC 3339 time at which the operator last wrote this, while it has anything to do for the training; ten
    minutes ago at most, even if nothing changes. Older: it does not run, or not serve this namespace."""
    observed_generation: int | None = None
    run: int | None = None
    """The run that all the rest speaks of."""
    attempt: int | None = None
    """Number of the newest attempt of that run, from 1."""
    restarts: int = 0
    """Attempts that ended without an answer and counted against `maxRestarts`."""
    admission_refusals: int | None = None
    """Pods in a row that a node refused though the scheduler had chosen it; the tenth ends the run."""
    job_name: str | None = None
    """The newest Job, as long as it is there."""
    pod_name: str | None = None
    """The newest Job's pod, of several the one that speaks for all, as long as it is there."""
    node_name: str | None = None
    """Where that pod is; once the run has ended, where it was."""
    logs: Sentence | None = None
    """Once the run has ended, the ways to its logs."""
    start_time: str | None = None
    completion_time: str | None = None
    active_seconds: int | None = None
    """Training time of those attempts of the run that are over, in seconds; a retry counts anew."""
    attempt_start_time: str | None = None
    """Since when the training container of the newest attempt runs, or ran."""
    waiting_since: str | None = None
    """Since when a training waits whose attempts were given up meanwhile: on several nodes, since some of its
    pods had none, or for want of another node than those where a GPU failed."""
    progress: Progress | None = None
    printed: Printed | None = None
    queue: Queue | None = None
    waiting: Waiting | None = None
    best: Best | None = None
    weights: Weights | None = None
    dataset: Dataset | None = None
    failure: Failure | None = None
    """Why it failed, or what keeps the newest attempt from starting."""
    last_failure: Failure | None = None
    """Why the last attempt of this run ended that another one followed, in few words."""
    warnings: list[str] = Field(default_factory=list)
    remedies: list[Remedy] = Field(default_factory=list)
    """Arguments of this run that the operator changed after a failure, oldest first, at most 4."""
    avoided_nodes: list[AvoidedNode] = Field(default_factory=list)
    """Nodes with a GPU fault, newest last, at most 4: kept away from for a day while another one has room."""
    retry: str | None = None
    """Value of the retry annotation that was last acted upon."""
    runs: list[RunSummary] = Field(default_factory=list)
    """Earlier runs, newest last, at most 10."""
    conditions: list[Condition] = Field(default_factory=list)

    def to_wire(self) -> dict[str, object]:
        """The JSON form, without what is unset or empty: of that `kubectl describe` prints a bare name."""
        return drop_empty(super().to_wire())


def drop_empty(value: Mapping[str, Any]) -> dict[str, Any]:
    """The object without its empty lists and objects, at any depth but within lists."""
    slim = {key: drop_empty(one) if isinstance(one, Mapping) else one for key, one in value.items()}
    return {key: one for key, one in slim.items() if one not in ([], {})}


def unserved_failure(message: str) -> Failure:
    """What stands in the way of a training that no operator watches."""
    return Failure(reason=Reason.NO_OPERATOR, message=message, hint=HINTS[Reason.NO_OPERATOR])


UNSERVED: dict[str, object] = {
    # kstatus (Flux, Helm) takes an object that no operator has seen yet for done, unless a number says so.
    "observedGeneration": -1,
    "phase": Phase.UNSERVED.value,
    "message": f"no operator has seen this training yet; {HINTS[Reason.NO_OPERATOR]}",
    "printed": {"reason": Reason.NO_OPERATOR.value},
}
"""What the API server shows as the status until an operator has written one (ADR 26). It is no failure: a new
training shows it for a moment, and who waits for failures must not find one."""
