"""The newest attempt of a run, as its Jobs and pods show it."""

from dataclasses import dataclass, replace

from yolo_crds.conditions import Reason
from yolo_crds.meta import Stage
from yolo_crds.status import Failure, Status
from yolo_crds.trainer import ExitCode, Result, parse_result
from yolo_crds.training import YoloTraining

from .diagnosis import diagnose, failure
from .gang import culprit, first_of, newest_pods, speaker
from .snapshot import JobView, PodView, Snapshot, print_time


@dataclass(frozen=True)
class Attempt:
    """The newest attempt, as its Jobs and pods show it."""

    number: int
    stage: Stage
    job: JobView | None
    pod: PodView | None
    """The one that speaks for the newest Job's pods, and after a failure the one that it came from."""
    pods: tuple[PodView, ...] = ()
    """All of them, by index."""
    prepared: Result | None = None
    done: bool = False
    """The training has ended well or ill for good, as its own result says."""
    result: Result | None = None
    failure: Failure | None = None
    ended_at: str | None = None
    """When the stage ended; None while it is under way."""

    @property
    def first(self) -> PodView | None:
        """The pod that alone tells progress."""
        return first_of(self.pods)

    @property
    def ended_well(self) -> bool:
        return self.failure is None and self.ended_at is not None


def newest_attempt(view: Snapshot, training: YoloTraining, before: Status) -> Attempt:
    """The attempt with the highest number among the run's Jobs and the stored status."""
    jobs = [j for j in view.jobs if j.run == training.spec.run and j.owner_uid == training.uid]
    jobs = [job for job in jobs if not job.deleting]
    number = max([before.attempt or 1, *(job.attempt for job in jobs)])
    stages = {job.stage: job for job in jobs if job.attempt == number}
    known = {job.name for job in stages.values()}
    if before.attempt == number and before.job_name and before.job_name not in known:
        return _deleted(view, number, before)
    prepare, train = stages.get(Stage.PREPARE), stages.get(Stage.TRAIN)
    prepared = None
    if prepare is not None:
        attempt = _attempt_at(view, number, prepare)
        if train is None and not attempt.ended_well:
            return attempt
        prepared = attempt.result
        if prepared is not None and prepared.finished is not None:
            return _finished_before(attempt, prepared.finished)
    if train is not None:
        attempt = _attempt_at(view, number, train, prepared)
        if attempt.result is not None and attempt.result.finished is not None:
            # Prepare had found it, but its message was lost.
            return _finished_before(attempt, attempt.result.finished)
        return replace(attempt, done=attempt.ended_well)
    stage = Stage.PREPARE if prepare is None else Stage.TRAIN
    return Attempt(number, stage, None, None, prepared=prepared)


def _deleted(view: Snapshot, number: int, before: Status) -> Attempt:
    """The attempt whose Job was there and is not: somebody deleted it. Its pod may still be ending."""
    pods = tuple(pod for pod in view.pods if pod.name == before.pod_name)
    gone = failure(Reason.POD_DELETED, "the Job was deleted", attempt=number)
    return Attempt(
        number,
        Stage.TRAIN,
        None,
        next(iter(pods), None),
        pods,
        failure=gone,
        ended_at=print_time(view.now),
    )


def _attempt_at(view: Snapshot, number: int, job: JobView, prepared: Result | None = None) -> Attempt:
    """The attempt at the stage of `job`, which may be under way, ended well, or failed."""
    known = newest_pods(pod for pod in view.pods if pod.job_uid == job.uid)
    pods = [pod for pod in known if not _taken_back(job, pod)]
    first, failed = first_of(pods), culprit(job, pods, view.now)
    well = job.complete or (first is not None and first.phase == "Succeeded")
    pod = first if well else failed[0] if failed else speaker(job, pods)
    told = None
    if not well and (failed or job.failed):
        told = failed[1] if failed else diagnose(job, pod, view.gone_events)
    ended_at = (pod and pod.finished_at) or job.finished_at or print_time(view.now)
    return Attempt(
        number,
        job.stage,
        job,
        pod,
        tuple(pods),
        prepared,
        result=parse_result(first.terminated.message) if first and first.terminated else None,
        failure=told,
        ended_at=ended_at if well or told else None,
    )


def _taken_back(job: JobView, pod: PodView) -> bool:
    """Whether a pod's end is not the attempt's: its Job goes on, with another pod when a queue lets it."""
    if pod.phase != "Failed" or job.finished or pod.lingers:
        return False
    interrupted = pod.terminated is not None and pod.terminated.exit_code == ExitCode.INTERRUPTED
    ignored = job.ignores_interruptions and (interrupted or pod.disruption is not None)
    # Suspending a Job deletes its pod. Resumed at once, it may stand beside that pod's end for a moment.
    return job.suspended or ignored or (job.interruptible and pod.gone_by is not None)


def _finished_before(attempt: Attempt, result: Result) -> Attempt:
    """A stage found the result of a training that had ended without anybody storing it."""
    told = None
    if result.exit_code != 0:
        reason = result.reason or Reason.TRAINING_FAILED
        told = failure(
            reason, result.message, hint=result.hint, exit_code=result.exit_code, attempt=result.attempt
        )
    prepared = attempt.prepared or attempt.result
    return replace(attempt, prepared=prepared, result=result, failure=told, done=True)
