"""Pods that a node refuses though the scheduler chose it: how many in a row are tried.

Some such refusals heal by themselves (a device plugin or kubelet that starts again, a label that changed on
the way), others never do (a topology that the pod does not fit, GPUs that are handed out one by one), and
Kubernetes has the same word for both.
"""

from yolo_crds.conditions import Reason
from yolo_crds.status import Failure, Status

from .diagnosis import failure

REJECTED_MOST = 10
"""So many in a row: 25 minutes with the back-off between them. What starts again is back long before."""
_HINT = (
    "mend on the node what the message names (its device plugin, the kubelet's topology or CPU manager), "
    "or ask for other resources in spec.template with a higher spec.run; the annotation yolo.training/retry "
    "with a new value tries the same again"
)


def count_rejected(before: Status, why: Failure | None, *, trained: bool) -> int:
    """Of the run, in a row, with that of an attempt which ended so; anew once a pod has trained."""
    if trained:
        return 0
    return (before.admission_refusals or 0) + (why is not None and why.reason == Reason.ADMISSION_REFUSED)


def rejected_too_often(before: Status, why: Failure) -> Failure | None:
    """Why the run ends with the attempt that failed so; None while another one may follow."""
    count = count_rejected(before, why, trained=False)
    if why.reason != Reason.ADMISSION_REFUSED or count < REJECTED_MOST:
        return None
    message = f"{count} pods in a row were refused by their node, the last one so: {why.message}"
    return failure(Reason.ADMISSION_REFUSED, message, node=why.node, attempt=why.attempt, hint=_HINT)
