"""The status that the objects mean, and the one patch that stores it."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from yolo_crds import meta
from yolo_crds.conditions import Phase, Reason
from yolo_crds.status import (
    AvoidedNode,
    Best,
    Dataset,
    Failure,
    Printed,
    Progress,
    Queue,
    RunSummary,
    Status,
    Weights,
)
from yolo_crds.trainer import ProgressLine, Result
from yolo_crds.training import YoloTraining

from .avoidance import avoided_after, still_avoided
from .conditions import derive_conditions, derive_phase, derive_reason
from .idle_edits import tell_idle_edit
from .kept import names_left
from .message import build_message
from .patch import is_active
from .printed import build_printed, print_reason
from .rejected import count_rejected
from .snapshot import Snapshot, Wire, print_time
from .verdict import ENDED, State, Verdict, parse_status, retry_nonce
from .workload import Admission

RUNS_KEPT = 10
WARNINGS_KEPT = 20
_WARNING_MAX = 256
_GIVEN_UP = frozenset({Reason.GANG_INCOMPLETE, Reason.UNSCHEDULABLE})
"""How an attempt ends that goes on waiting in the next one."""
STATUS_MAX_BYTES = 12_000
"""Bound of the status as JSON: the whole object stays below 16 KiB."""
_CLASSES_KEPT = 100


def observe(view: Snapshot, verdict: Verdict) -> Status:
    """The status as it should be stored."""
    stored = parse_status(view.training)
    generation = view.training["metadata"].get("generation")
    if verdict.state == State.SETTLED:
        conditions = [c.model_copy(update={"observed_generation": generation}) for c in stored.conditions]
        seen = {"observed_generation": generation, "conditions": conditions}
        return _with_names_left(view, verdict, _with_idle_edit(verdict, stored).model_copy(update=seen))
    before, again = verdict.before, verdict.state == State.AGAIN
    pod_name, node_name = _place(view, verdict)
    first = verdict.first
    phase = derive_phase(view, verdict)
    dataset = _dataset(verdict) or before.dataset
    line = view.progress.get(first.uid) if first else None
    progress, queue = _progress(verdict, line), _queue(view, verdict)
    place = verdict.waiting.place if verdict.waiting else None
    why, warnings = _failure(verdict), _warnings(view, verdict)
    status = Status(
        phase=phase,
        seen_at=stored.seen_at if is_active(phase) else None,
        observed_generation=generation,
        run=verdict.run,
        attempt=verdict.attempt + again,
        restarts=before.restarts + (again and verdict.counted),
        admission_refusals=count_rejected(
            before,
            verdict.failure if again or verdict.state == State.FAILED else None,
            trained=verdict.attempt_start_time is not None,
        )
        or None,
        job_name=None if again else verdict.job.name if verdict.job else before.job_name,
        pod_name=pod_name,
        node_name=node_name,
        start_time=before.start_time or _started(verdict),
        completion_time=verdict.ended_at if verdict.terminal else None,
        active_seconds=_active_seconds(verdict),
        attempt_start_time=None if again else verdict.attempt_start_time,
        waiting_since=_waiting_since(verdict),
        progress=progress,
        printed=build_printed(
            verdict.training, before.printed, progress, place, print_reason(phase, why, warnings)
        ),
        queue=queue,
        waiting=verdict.waiting,
        best=_best(verdict, line) or before.best,
        weights=_weights(verdict) or before.weights,
        dataset=dataset,
        failure=why,
        last_failure=_last_failure(verdict),
        warnings=warnings,
        remedies=[*before.remedies, *([verdict.remedy] if verdict.remedy else [])],
        avoided_nodes=_avoided_nodes(view, verdict),
        retry=_retry(verdict.training, stored),
        runs=_runs(stored, verdict.run),
        conditions=derive_conditions(
            view, verdict, phase, stored.conditions, _data_ready(verdict), dataset=dataset
        ),
    )
    if verdict.state in ENDED:
        status = _with_names_left(view, verdict, status)
    return fit(status.model_copy(update={"message": build_message(verdict, status)}))


def fit(status: Status) -> Status:
    """The status within its bound: the rarest classes and the oldest warnings are left out first."""
    if len(json.dumps(status.to_wire())) <= STATUS_MAX_BYTES:
        return status
    dataset = status.dataset
    if dataset is not None:
        most = sorted(dataset.classes.items(), key=lambda item: -item[1])[:_CLASSES_KEPT]
        short = {name[:48]: boxes for name, boxes in most}
        dataset = dataset.model_copy(update={"classes": short})
    return status.model_copy(update={"dataset": dataset, "warnings": status.warnings[-5:]})


def _place(view: Snapshot, verdict: Verdict) -> tuple[str | None, str | None]:
    """Name and node of the newest pod; while there is none, of the one before it as long as that is there."""
    pod, before = verdict.pod, verdict.before
    if pod is not None:
        return pod.name, pod.node
    there = any(one.name == before.pod_name for one in view.pods) and verdict.state != State.UNDER_WAY
    return (before.pod_name, before.node_name) if there or verdict.state in ENDED else (None, None)


def _with_idle_edit(verdict: Verdict, status: Status) -> Status:
    """The status of a run that has ended, warning of a change of the spec that starts nothing.

    One that an earlier operator stored has neither sentence nor printed reason: it gets them once.
    """
    if verdict.training is None or status.phase is None:
        return status
    warnings = tell_idle_edit(verdict.training, status)[-WARNINGS_KEPT:]
    if warnings == status.warnings and status.message is not None:
        return status
    printed = (status.printed or Printed()).model_copy(
        update={"reason": print_reason(status.phase, status.failure, warnings)}
    )
    told = status.model_copy(update={"warnings": warnings, "printed": printed})
    return told.model_copy(update={"message": build_message(verdict, told)})


def _with_names_left(view: Snapshot, verdict: Verdict, status: Status) -> Status:
    """The status of a run that has ended, without the names of what is gone since."""
    if verdict.training is None:
        return status
    left = names_left(view, verdict.training.model_name, status)
    gone = (left.job_name, left.pod_name) != (verdict.before.job_name, verdict.before.pod_name)
    # A status that tells the truth is not written anew for the sake of a sentence.
    return left if gone or verdict.state != State.SETTLED else status


def _started(verdict: Verdict) -> str | None:
    pod = verdict.pod
    return pod.started_at if pod is not None and pod.stage == meta.Stage.TRAIN else None


def _active_seconds(verdict: Verdict) -> int | None:
    """Training time of the attempts that are over, and of pods that a queue took back: each is added once, in
    the patch that ends it."""
    over = verdict.state == State.AGAIN or verdict.state in ENDED
    before = verdict.before.active_seconds or 0
    return before + verdict.taken_back_seconds + (verdict.trained_seconds if over else 0) or None


def _waiting_since(verdict: Verdict) -> str | None:
    """Kept over attempts that were given up without having found their nodes, until all pods run or something
    else ends."""
    before, job, pod = verdict.before.waiting_since, verdict.job, verdict.pod
    if verdict.state == State.AGAIN:
        gave_way = verdict.failure is not None and verdict.failure.reason in _GIVEN_UP
        return before or (job.created if job else None) if gave_way else None
    trains = pod is not None and pod.stage == meta.Stage.TRAIN and pod.started_at is not None
    # Whoever suspends it takes it out of those that wait.
    ended = verdict.terminal or verdict.state in {State.LEAVING, State.SUSPENDED}
    return None if trains or ended else before


def _data_ready(verdict: Verdict) -> bool:
    """Whether prepare of the newest attempt ended well."""
    return verdict.stage == meta.Stage.TRAIN and verdict.state not in {State.REFUSED, State.AGAIN}


def _progress(verdict: Verdict, line: ProgressLine | None) -> Progress | None:
    before, result = verdict.before.progress, verdict.result
    progress = before
    if line is not None and verdict.stage == meta.Stage.PREPARE:
        # Its percentage is of the data check; what the run has reached so far stays.
        progress = (before or Progress()).model_copy(
            update={"stage": line.stage, "updated_at": _time_of(line)}
        )
    elif line is not None:
        progress = Progress(
            stage=line.stage,
            epoch=line.epoch if line.epoch is not None else before and before.epoch,
            epochs=line.epochs if line.epochs is not None else before and before.epochs,
            percent=line.percent,
            eta_seconds=line.eta_seconds,
            images_per_second=line.images_per_second,
            metrics=_numbers(line.metrics) or (before.metrics if before else {}),
            updated_at=_time_of(line),
        )
    if verdict.state == State.SUCCEEDED and result is not None:
        progress = (progress or Progress()).model_copy(
            update={
                "epoch": result.epochs_done,
                "epochs": result.epochs,
                "percent": 100.0,
                "metrics": _numbers(result.metrics) or (progress.metrics if progress else {}),
            }
        )
    trains = verdict.state == State.UNDER_WAY and verdict.pod is not None and not verdict.held
    if progress is not None and not trains:
        progress = progress.model_copy(update={"eta_seconds": None, "images_per_second": None, "stage": None})
    return progress


def _time_of(line: ProgressLine) -> str:
    return print_time(datetime.fromtimestamp(line.time, UTC))


def _numbers(metrics: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if value is not None}


def _queue(view: Snapshot, verdict: Verdict) -> Queue | None:
    job = verdict.job
    if job is None or not verdict.held:
        return None
    admission = view.admissions.get(job.uid) or Admission()
    name = job.queue or (admission.workload.queue if admission.workload else None)
    return Queue(name=name, since=job.suspended_at, place=admission.place)


def _results(verdict: Verdict) -> list[Result]:
    return [result for result in (verdict.result, verdict.prepared) if result is not None]


def _dataset(verdict: Verdict) -> Dataset | None:
    return next((result.dataset for result in _results(verdict) if result.dataset is not None), None)


def _best(verdict: Verdict, line: ProgressLine | None) -> Best | None:
    told = next((result.best for result in _results(verdict) if result.best is not None), None)
    return told or (line.best if line else None)


def _weights(verdict: Verdict) -> Weights | None:
    return next((result.weights for result in _results(verdict) if result.weights is not None), None)


def _failure(verdict: Verdict) -> Failure | None:
    """What failed or blocks; while an attempt is under way else, why the one before it failed."""
    if verdict.state in {State.SUCCEEDED, State.TERMINATED, State.SUSPENDED, State.LEAVING}:
        return None
    if verdict.failure is not None:
        return verdict.failure
    before = verdict.before.failure
    return before if before is not None and before.attempt is not None else None


def _last_failure(verdict: Verdict) -> Failure | None:
    """Kept while `failure` tells what the next attempt waits for, and when that one has succeeded."""
    if verdict.state != State.AGAIN or verdict.failure is None:
        return verdict.before.last_failure
    short = verdict.failure.message[:_WARNING_MAX]
    return verdict.failure.model_copy(update={"message": short})


def _warnings(view: Snapshot, verdict: Verdict) -> list[str]:
    told: list[str] = [*_request_warnings(view.training), *verdict.before.warnings]
    for result in reversed(_results(verdict)):
        told += result.warnings
    line = view.progress.get(verdict.first.uid) if verdict.first else None
    told += [line.warning] if line and line.warning else []
    told += [
        f"{device} of node {pod.node} is unhealthy, says its device plugin; the training goes on while it can"
        for pod in verdict.pods
        if pod.running
        for device in pod.unhealthy
    ]
    return list(dict.fromkeys(warning[:_WARNING_MAX] for warning in told))[-WARNINGS_KEPT:]


def _avoided_nodes(view: Snapshot, verdict: Verdict) -> list[AvoidedNode]:
    over = verdict.state in {State.AGAIN, State.FAILED}
    why = verdict.failure if over else None
    return still_avoided(avoided_after(verdict.before, why, verdict.ended_at), view.now)


def _request_warnings(training: Wire) -> Iterable[str]:
    """What the façade changed or ignored in the request; anybody else's annotation may be no such list."""
    text = (training["metadata"].get("annotations") or {}).get(meta.ANNOTATION_WARNINGS)
    try:
        warnings = json.loads(text) if text else []
    except ValueError:
        return []
    return [str(warning) for warning in warnings] if isinstance(warnings, list) else []


def _retry(training: YoloTraining | None, stored: Status) -> str | None:
    return (retry_nonce(training) if training else None) or stored.retry


def _runs(stored: Status, run: int) -> list[RunSummary]:
    """The history, with the stored run in it as soon as another one begins."""
    if stored.run is None or stored.run == run:
        return stored.runs
    ended = RunSummary(
        run=stored.run,
        phase=str(stored.phase or Phase.PENDING),
        reason=str(stored.failure.reason) if stored.failure else None,
        start_time=stored.start_time,
        completion_time=stored.completion_time,
        epochs=stored.progress.epoch if stored.progress else None,
        metric=stored.printed.metric if stored.printed else None,
    )
    return [*stored.runs, ended][-RUNS_KEPT:]


def describe(view: Snapshot, verdict: Verdict) -> dict[str, object]:
    """The fields of a log record about a state change."""
    phase = derive_phase(view, verdict)
    return {
        "phase": str(phase),
        "reason": derive_reason(verdict, phase),
        "run": verdict.run,
        "attempt": verdict.attempt,
        "failure": verdict.failure.message if verdict.failure else None,
    }
