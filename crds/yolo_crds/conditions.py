"""Phases, conditions and the closed vocabulary of reasons, each with a hint for a person."""

from enum import StrEnum


class Phase(StrEnum):
    """One word for people, derived from the conditions; nothing reads it back."""

    UNSERVED = "Unserved"
    """No operator has seen it yet, or none watches it any more. No operator writes this word: the API server
    fills it in, and a release that is uninstalled leaves it behind."""
    PENDING = "Pending"
    PREPARING = "Preparing"
    QUEUED = "Queued"
    STARTING = "Starting"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    TERMINATED = "Terminated"


TERMINAL_PHASES = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.TERMINATED})


class ConditionType(StrEnum):
    """Types of `status.conditions`, in the order in which they are written."""

    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    DATA_READY = "DataReady"
    ADMITTED = "Admitted"
    POD_READY = "PodReady"
    PROGRESSING = "Progressing"
    SUSPENDED = "Suspended"
    COMPLETE = "Complete"
    FAILED = "Failed"
    FINISHED = "Finished"


MEANINGS: dict[ConditionType, str] = {
    ConditionType.RECONCILING: "the operator has something to do for it: neither ended nor suspended",
    ConditionType.STALLED: "the run has failed; told once it is true, and as False while a retry goes on",
    ConditionType.DATA_READY: "the data is checked for the newest attempt; the message counts it",
    ConditionType.ADMITTED: "there is a Job, and no queue or person holds it",
    ConditionType.POD_READY: "its pod runs, or all of its pods; else the message says what keeps it",
    ConditionType.PROGRESSING: "it gets on: the data is checked, or it trains",
    ConditionType.SUSPENDED: "it frees its GPU as `spec.suspend` asks; told once it is true, and as False "
    "while the run goes on",
    ConditionType.COMPLETE: "the run has trained to its end",
    ConditionType.FAILED: "the run has failed, and the message says why; told as `Stalled` is",
    ConditionType.FINISHED: "the run has ended: complete, failed or stopped",
}
"""What it means that a condition is True."""


class Reason(StrEnum):
    """Why a condition is as it is. The trainer's termination message uses the same words."""

    # nobody serves the namespace, or nobody does any more
    NO_OPERATOR = "NoOperator"
    # on the way
    ACCEPTED = "Accepted"
    PREPARING = "Preparing"
    DATA_PREPARED = "DataPrepared"
    QUEUED = "Queued"
    ADMITTED = "Admitted"
    STARTING = "Starting"
    TRAINING = "Training"
    RESTARTING = "Restarting"
    SUSPENDED_BY_USER = "SuspendedByUser"
    SUCCEEDED = "Succeeded"
    STOPPED_BY_USER = "StoppedByUser"
    # what the user can mend
    NAME_MISMATCH = "NameMismatch"
    INVALID_SPEC = "InvalidSpec"
    INVALID_ARGUMENTS = "InvalidArguments"
    INVALID_DATA = "InvalidData"
    WEIGHTS_MISSING = "WeightsMissing"
    LEGACY_CHECKPOINT = "LegacyCheckpoint"
    # a queue, or somebody else, holds the Job
    SUSPENDED_BY_OTHERS = "SuspendedByOthers"
    WAITING_FOR_QUOTA = "WaitingForQuota"
    EXCEEDS_QUEUE = "ExceedsQueue"
    NOT_ADMITTED = "NotAdmitted"
    QUEUE_MISSING = "QueueMissing"
    QUEUE_STOPPED = "QueueStopped"
    PREEMPTED_IN_QUEUE = "PreemptedInQueue"
    PODS_NOT_READY = "PodsNotReady"
    DEACTIVATED = "Deactivated"
    WEBHOOK_FAILED = "WebhookFailed"
    # the pod cannot start
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    DATA_IMAGE_FAILED = "DataImageFailed"
    DATA_IMAGE_NOT_MOUNTED = "DataImageNotMounted"
    VOLUME_FAILED = "VolumeFailed"
    QUOTA_EXCEEDED = "QuotaExceeded"
    EXCEEDS_QUOTA = "ExceedsQuota"
    LIMIT_MISSING = "LimitMissing"
    OUTSIDE_LIMIT_RANGE = "OutsideLimitRange"
    FORBIDDEN = "Forbidden"
    CONTAINER_START_FAILED = "ContainerStartFailed"
    ADMISSION_REFUSED = "AdmissionRefused"
    GPUS_SHARED = "GpusShared"
    GANG_INCOMPLETE = "GangIncomplete"
    PENDING_TOO_LONG = "PendingTooLong"
    # it ran and died
    OOM_KILLED = "OOMKilled"
    SHARED_MEMORY_EXHAUSTED = "SharedMemoryExhausted"
    CUDA_OUT_OF_MEMORY = "CudaOutOfMemory"
    GPU_FAULT = "GpuFault"
    NO_ACCELERATOR = "NoAccelerator"
    DISK_FULL = "DiskFull"
    VOLUME_UNAVAILABLE = "VolumeUnavailable"
    FETCH_FAILED = "FetchFailed"
    DIVERGED = "Diverged"
    TRAINING_FAILED = "TrainingFailed"
    WORKER_KILLED = "WorkerKilled"
    HUNG = "Hung"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    INTERRUPTED = "Interrupted"
    EVICTED = "Evicted"
    PREEMPTED = "Preempted"
    NODE_LOST = "NodeLost"
    PEER_LOST = "PeerLost"
    POD_DELETED = "PodDeleted"
    FENCED = "Fenced"
    INTERNAL_ERROR = "InternalError"


BEGIN_ANEW = "then raise spec.run"
"""The way on from a failure that was final before anything was trained, or where resuming has no meaning."""
GO_ON = "raise spec.run, with spec.resume to go on from what is saved"
"""The way on from a failure that was final, once its cause is gone."""
GOES_ON = "another attempt goes on from what is saved"
"""The way on from one that another attempt follows."""

HINTS: dict[Reason, str] = {
    Reason.NO_OPERATOR: "if that lasts: does an operator run, and does it serve this namespace "
    "(operator.namespaces of its Helm values)? As soon as one does, the training is taken up; else create it "
    "in a namespace that is served",
    Reason.NAME_MISMATCH: "delete the object and create it under the name given in the message",
    Reason.INVALID_SPEC: "correct the named field of the spec and raise spec.run",
    Reason.INVALID_ARGUMENTS: "correct the named argument in spec.template and raise spec.run",
    Reason.INVALID_DATA: "correct the data set, then raise spec.run",
    Reason.WEIGHTS_MISSING: "put the named file into the weights folder of the data volume and raise "
    "spec.run; or delete the object and create it anew with the architecture's .yaml, which trains from "
    "scratch",
    Reason.LEGACY_CHECKPOINT: "checkpoints of the YOLOv5 repository cannot be resumed: set spec.resume "
    "to false and raise spec.run, which trains anew",
    Reason.SUSPENDED_BY_OTHERS: "whoever set spec.suspend of the Job must unset it (kubectl describe job "
    "tells more), or a queue be named (scheduling.queueName, prepareQueueName); limits in time do not count "
    "meanwhile",
    Reason.WAITING_FOR_QUOTA: "starts by itself when its turn comes; limits in time do not count meanwhile",
    Reason.EXCEEDS_QUEUE: "so it can never start: lower spec.template.resources and raise spec.run, or have "
    "the ClusterQueue's quota raised",
    Reason.NOT_ADMITTED: "see the message, and kubectl describe workload; a node selector or resource for "
    "which the ClusterQueue has no flavor is corrected in spec.template, with a higher spec.run",
    Reason.QUEUE_MISSING: "make the LocalQueue in this namespace, or correct queueName (prepareQueueName for "
    "prepare) in spec.template.scheduling and raise spec.run",
    Reason.QUEUE_STOPPED: "whoever runs the queue must start it again (its spec.stopPolicy); it goes on then",
    Reason.PREEMPTED_IN_QUEUE: "it keeps its place, and goes on in the same attempt when the queue lets it",
    Reason.PODS_NOT_READY: "its pod did not start in the time that Kueue gives (waitForPodsReady); see the "
    "events of the pod. Kueue tries again by itself",
    Reason.DEACTIVATED: "set spec.active of the named Workload to true, and it waits for its turn again",
    Reason.WEBHOOK_FAILED: "the admission webhook that the message names must answer again, or its "
    "configuration must go; the Job is created as soon as it does",
    Reason.UNSCHEDULABLE: "lower spec.template.resources and raise spec.run, free the named resource, or "
    "add a node that has it",
    Reason.IMAGE_PULL_FAILED: "check the image's name and tag and the pull secrets in the Helm values",
    Reason.DATA_IMAGE_FAILED: "check spec.template.data.image: its registry, name and tag, and the pull "
    "secrets in the Helm values; then raise spec.run",
    Reason.DATA_IMAGE_NOT_MOUNTED: "image volumes need containerd 2.1 or CRI-O 1.31 on the node and "
    "Kubernetes 1.35 (1.33 with the feature gate ImageVolume); else put the data set onto the data volume",
    Reason.VOLUME_FAILED: "check that both claims exist in this namespace and are bound",
    Reason.QUOTA_EXCEEDED: "starts by itself when others free what the quota counts; else have it raised, or "
    "lower spec.template.resources and raise spec.run",
    Reason.EXCEEDS_QUOTA: "waiting does not help: lower spec.template.resources and raise spec.run, or have "
    "the quota raised",
    Reason.LIMIT_MISSING: "waiting does not help: have a LimitRange made in this namespace that gives a "
    "default for the named resource",
    Reason.OUTSIDE_LIMIT_RANGE: "waiting does not help: change the named resource in spec.template.resources "
    "(of prepare in the Helm values) and raise spec.run, or have the LimitRange changed",
    Reason.FORBIDDEN: "correct what the message names (a RuntimeClass or PriorityClass that does not "
    "exist?) and raise spec.run, else check the operator's role and the admission policies",
    Reason.CONTAINER_START_FAILED: "see the message of the container runtime; is the trainer image complete?",
    Reason.ADMISSION_REFUSED: "the node refused the pod after all; another attempt follows, until ten in a "
    "row were refused",
    Reason.GPUS_SHARED: "shared GPUs are handed out one by one: set spec.template.resources.gpus to 1, or "
    "choose nodes with whole ones (scheduling.nodeSelector, such as nvidia.com/gpu.sharing-strategy: none)",
    Reason.GANG_INCOMPLETE: "free GPUs, or lower spec.template.resources.nodes; those that its pods had are "
    "free for others meanwhile, and it tries again by itself",
    Reason.PENDING_TOO_LONG: "free resources, or lower spec.template.resources, or raise "
    "spec.lifecycle.pendingDeadlineSeconds; then raise spec.run",
    Reason.OOM_KILLED: "raise spec.template.resources.memory, lower batch or workers, or set cache to none",
    Reason.SHARED_MEMORY_EXHAUSTED: "raise spec.template.resources.sharedMemory or lower workers",
    Reason.CUDA_OUT_OF_MEMORY: f"lower batch or imgsz, or ask for a larger GPU; then {GO_ON}",
    Reason.GPU_FAULT: "look at the node's GPU (Xid in the kernel log); other attempts avoid the node for "
    "a day while another one has room",
    Reason.NO_ACCELERATOR: "the pod saw no GPU; check the driver, runtimeClassName and gpuResource",
    Reason.DISK_FULL: "free space on the named volume",
    Reason.VOLUME_UNAVAILABLE: "see whether the volume's server is up and the node reaches it",
    Reason.FETCH_FAILED: "see whether the named server is up and prepare pods may reach it; what "
    "has come is kept",
    Reason.DIVERGED: "the state before it is kept: lower lr0 or check the labels, then raise spec.run with "
    "spec.resume (with GPUs, the run was first tried again without amp)",
    Reason.TRAINING_FAILED: f"see train_err.log in the run folder; when the cause is gone, {GO_ON}",
    Reason.WORKER_KILLED: "the training process was killed; train_err.log in the run folder may say more",
    Reason.HUNG: "no batch finished within stallTimeoutSeconds; the stacks are in train_err.log",
    Reason.DEADLINE_EXCEEDED: "raise spec.lifecycle.activeDeadlineSeconds, raise spec.run and set "
    "spec.resume",
    Reason.INTERRUPTED: "the pod was asked to end; the next attempt resumes from the last checkpoint",
    Reason.EVICTED: "the node ran short of a resource; see the message",
    Reason.PREEMPTED: "a pod of higher priority took the place; the next attempt resumes",
    Reason.NODE_LOST: "the node is gone; the next attempt resumes elsewhere",
    Reason.PEER_LOST: "the connection to another pod of the training was lost; the next attempt starts all "
    "pods again. If it happens each time, do the nodes reach each other?",
    Reason.POD_DELETED: "somebody deleted the pod or Job; the next attempt resumes",
    Reason.FENCED: "a newer attempt, or a newer object of the same model name, owns the run folder: this one "
    "has nothing left to do; a new object of that name always gets in",
    Reason.INTERNAL_ERROR: "this is a fault of the trainer or operator; please report it with the logs",
}
"""What a person can do about a reason; shown in `status.failure.hint`, with `BEGIN_ANEW`, `GO_ON` or
`GOES_ON` after it where it does not say so itself."""

RETRYABLE: frozenset[Reason] = frozenset(
    {
        Reason.ADMISSION_REFUSED,
        Reason.GANG_INCOMPLETE,
        Reason.OOM_KILLED,
        Reason.SHARED_MEMORY_EXHAUSTED,
        Reason.DISK_FULL,
        Reason.VOLUME_UNAVAILABLE,
        Reason.FETCH_FAILED,
        Reason.GPU_FAULT,
        Reason.WORKER_KILLED,
        Reason.HUNG,
        Reason.INTERRUPTED,
        Reason.EVICTED,
        Reason.PREEMPTED,
        Reason.NODE_LOST,
        Reason.PEER_LOST,
        Reason.POD_DELETED,
    }
)
"""Reasons after which another attempt can end otherwise (ADR 13). A full disk is one: others free their room,
a new attempt retires the files of older ones, and prepare, which needs it first, holds no GPU."""

LIKE_A_GPU_FAULT: frozenset[Reason] = frozenset(
    {
        Reason.HUNG,
        Reason.INTERNAL_ERROR,
        Reason.NO_ACCELERATOR,
        Reason.PEER_LOST,
        Reason.TRAINING_FAILED,
        Reason.WORKER_KILLED,
    }
)
"""What a training looks like whose GPU has failed, where nobody says so (ADR 22)."""

NO_WAY_ON: frozenset[Reason] = frozenset({Reason.FENCED, Reason.INTERNAL_ERROR})
"""Ends after which another run of this object is not what helps."""

REMEDIABLE: frozenset[Reason] = frozenset({Reason.CUDA_OUT_OF_MEMORY, Reason.DIVERGED})
"""Reasons after which one can only with a changed argument (a remedy); all others are final for the run."""
