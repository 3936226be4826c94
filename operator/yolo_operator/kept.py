"""The last Job of a run that has ended: how long it is kept for its pod's log, and what still has a name."""

import re
from datetime import datetime, timedelta

from yolo_crds.conditions import Reason
from yolo_crds.layout import RUNS_DIR, RunFolder
from yolo_crds.meta import TRAINER_CONTAINER
from yolo_crds.status import Failure, Status

from .snapshot import JobView, Snapshot, parse_time

ENDS_ALONE = timedelta(seconds=30)
"""So long a Job may take to end by itself after a pod of it has ended: to delete it would take the log along.
Its controller needs a second or two, and ends the other pods."""
_COUNTED = re.compile(r"\bcount/(jobs\.batch|pods)\b")


def kept_until(job: JobView, view: Snapshot, ended: Status, seconds: int) -> datetime | None:
    """Until when a Job is kept after the run's stored end; None where it is not. Pods that still hold
    something are never kept: a Job that was ended by its deadline, a container that outlives the trainer's.
    """
    if not seconds or job.name != ended.job_name or ended.completion_time is None:
        return None
    pods = [pod for pod in view.pods if pod.job_uid == job.uid]
    if any(pod.lingers for pod in pods) or not (job.finished or any(pod.finished for pod in pods)):
        return None
    keep = timedelta(seconds=seconds)
    if not job.finished or not all(pod.finished for pod in pods):
        keep = min(keep, ENDS_ALONE)
    return parse_time(ended.completion_time) + keep


def in_the_way(why: Failure | None) -> bool:
    """Whether a quota refuses a Job or pod by their number, to which kept ones count as others do."""
    return why is not None and why.reason == Reason.QUOTA_EXCEEDED and bool(_COUNTED.search(why.message))


def names_left(view: Snapshot, model_name: str, ended: Status) -> Status:
    """The status of a run that has ended, with the names of what is still there, and the ways to its logs."""
    jobs = {job.name for job in view.jobs if not job.deleting}
    pods = {pod.name for pod in view.pods if pod.gone_by is None}
    job_name = ended.job_name if ended.job_name in jobs else None
    pod_name = ended.pod_name if job_name and ended.pod_name in pods else None
    return ended.model_copy(
        update={
            "job_name": job_name,
            "pod_name": pod_name,
            "logs": tell_logs(model_name, pod_name, trained=ended.start_time is not None),
        }
    )


def tell_logs(model_name: str, pod_name: str | None, *, trained: bool) -> str | None:
    """Where the logs of a run that has ended are, for a person; None where none is left."""
    ways = []
    if pod_name is not None:
        ways.append(
            f"kubectl logs {pod_name} -c {TRAINER_CONTAINER}, as long as status.podName names that pod"
        )
    if trained:
        folder = RunFolder(model_name)
        files = f"{folder.std_log.relative_to(RUNS_DIR)} and {folder.err_log.name} on the run volume"
        ways.append(f"{files}, or GET /train_info/{model_name}")
    return "; ".join(ways) or None
