"""The train stage in the worker: builds Ultralytics' trainer from the configuration and lets it run."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from yolo_crds.layout import DataVolume
from yolo_crds.trainer import Prepared, TrainerConfig

from ..cgroup import threads
from ..data.manifest import first_changed, read_manifest
from ..errors import InvalidArgumentsError, InvalidDataError
from ..process.interrupts import Interrupts
from ..process.report import Report
from ..runfolder.attempt import CLAIM_ENV, Attempt, follow, join
from ..runfolder.attempts import Start
from .accelerator import choose_amp, choose_device
from .cache_plan import choose_cache
from .gpu_share import choose_batch
from .node_ranks import NODE_RANK, NODES
from .overrides import build_overrides
from .trackers import switch_off_trackers


def train(config: TrainerConfig, report: Report, interrupts: Interrupts) -> None:
    """Trains to the end and publishes; raises TrainerError, Interrupted, or whatever torch raises."""
    report(stage="import")
    attempt = follow(config) if NODE_RANK else join(config, int(os.environ.get(CLAIM_ENV, "0")))
    prepared = attempt.prepared
    if prepared is None:
        raise InvalidArgumentsError(f"{attempt.path} has no prepare.json: the prepare stage comes first")
    if report.is_first:
        check_images(prepared, DataVolume(Path(config.data_dir)), report)
        report(stage="import")
    device = choose_device(config.template.resources.gpus, report)
    overrides = build_overrides(config, prepared, _save_dir(attempt), device, threads())
    overrides["amp"] = choose_amp(overrides["amp"] is True, device, DataVolume(Path(config.data_dir)).weights)
    batch, told = choose_batch(float(str(overrides["batch"])), config.gpu_share, device)
    if told:
        overrides["batch"] = batch
        report.warning(told)
    overrides["cache"] = choose_cache(overrides, config, prepared, report)
    switch_off_trackers()

    from .callbacks import Callbacks
    from .session import Session

    # Of several nodes only the first rank looks where to go on, and tells the others.
    with attempt.start() if NODES == 1 or report.is_first else nullcontext(Start()) as start:
        session = Session(
            report=report,
            interrupts=interrupts,
            callbacks=Callbacks(report, interrupts),
            attempt=attempt,
            start=start,
            interval=config.template.save_interval,
        )
        trainer = build_trainer(session, overrides)
        trainer.train()
    if report.is_first:
        attempt.publish(plots=True)
        attempt.leave()
    report.finished(metrics=trainer.metrics)


def _save_dir(attempt: Attempt) -> Path:
    """Where Ultralytics may write: in a pod that follows, a folder of its own that ends with the worker."""
    return attempt.path if NODE_RANK == 0 else Path(os.environ["YOLO_CONFIG_DIR"]).parent / "run"


def check_images(prepared: Prepared, volume: DataVolume, report: Report) -> None:
    """Raises InvalidDataError with the first image that is no longer as it was verified."""
    manifest = read_manifest(volume.prepared / prepared.dataset.hash)
    changed = first_changed(manifest, volume.root, report) if manifest else None
    if changed:
        raise InvalidDataError(
            f"{changed} changed after it was verified", "raise spec.run: the data set is then prepared anew"
        )


def build_trainer(session: Any, overrides: dict[str, object]) -> Any:
    """The task's trainer of Ultralytics under our mixin, with the model loaded that `overrides` names."""
    import torch
    from ultralytics import YOLO
    from ultralytics.utils import torch_utils

    from .fast import FastTrainer
    from .supervised import SupervisedTrainer

    torch_utils.NUM_THREADS = threads()  # one less by default
    torch.set_num_threads(threads())
    model = YOLO(str(overrides["model"]), task=str(overrides["task"]))
    base = model.task_map[overrides["task"]]["trainer"]
    bases = SupervisedTrainer, FastTrainer, base
    trainer = type(f"Supervised{base.__name__}", bases, {})(session, overrides)
    if model.ckpt:
        weights = None if trainer.args.pretrained is False else model.model
        trainer.model = trainer.get_model(weights=weights, cfg=model.model.yaml)
    return trainer
