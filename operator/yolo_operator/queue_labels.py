"""What a Job needs to be started and stopped by Kueue: labels, and a pod failure policy (ADR 18)."""

from typing import Any

from yolo_crds import meta
from yolo_crds.meta import Stage
from yolo_crds.trainer import ExitCode
from yolo_crds.training import YoloTraining

from .settings import Settings

INTERRUPTIONS_IGNORED: dict[str, Any] = {
    "rules": [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {
            "action": "Ignore",
            "onExitCodes": {
                "containerName": meta.TRAINER_CONTAINER,
                "operator": "In",
                "values": [int(ExitCode.INTERRUPTED)],
            },
        },
    ]
}
"""`podFailurePolicy` of a queued Job: a pod that was taken back has not failed, the same Job goes on."""


def build_queue_labels(training: YoloTraining, stage: Stage, settings: Settings) -> dict[str, str]:
    """The labels by which Kueue manages a stage's Job; empty where no queue is asked for.

    Neither the pods nor the custom resource carry them: Kueue would take each for work of its own.
    """
    scheduling = training.spec.template.scheduling
    if stage == Stage.TRAIN:
        queue = scheduling.queue_name or settings.queue_name
    else:
        queue = scheduling.prepare_queue_name or settings.prepare_queue_name
    priority = scheduling.workload_priority_class
    wanted = {meta.LABEL_QUEUE: queue, meta.LABEL_QUEUE_PRIORITY: priority}
    return {label: value for label, value in wanted.items() if value}
