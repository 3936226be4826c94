"""The prepare stage: everything that can go wrong without a GPU goes wrong here.

Checks arguments and weights, prepares the data set, and leaves `prepare.json` for the train stage. Run twice
it does the same again, only faster. The supervisor has taken the run folder before.
"""

from __future__ import annotations

import json
import logging
import os
from functools import partial
from pathlib import Path

import yaml

from yolo_crds.arguments import parse_value
from yolo_crds.layout import DataVolume
from yolo_crds.models import EarlierRun, infer_task, parse_earlier_run
from yolo_crds.trainer import Prepared, TrainerConfig
from yolo_crds.training import Task

from ..data.contact_sheet import draw_contact_sheet
from ..data.dataset import PreparedSet, prepare_dataset
from ..data.parallel import Report
from ..data.source import COLOURS
from ..data.summary import report_lines
from ..errors import InvalidDataError, WeightsMissingError, volume_errors
from ..fetch.fetcher import Fetcher
from ..runfolder.attempt import CLAIM_ENV, Attempt, join
from .arguments import check_template
from .checkpoint_facts import Facts, read_facts
from .checkpoints import check_checkpoint
from .earlier_run import check_task, copy_earlier, tell_differences
from .fraction import fraction_warnings
from .label_cache import write_label_cache
from .leftover import find_nothing_left
from .models import resolve_model

logger = logging.getLogger(__name__)

_NO_RESUME = "no checkpoint to resume from; started afresh"
_WARM_START = "no state to resume exactly from; started from the folder's last.pt"


def prepare(config: TrainerConfig, report: Report) -> Prepared | None:
    """What train needs, also stored as `RunFolder.prepared`; None where there is nothing to train, which is
    stored as the run's result.

    Raises a TrainerError: FencedError, InvalidArgumentsError, WeightsMissingError, LegacyCheckpointError,
    InvalidDataError, FetchFailedError, DiskFullError, VolumeFailedError.
    """
    os.umask(0o002)  # façade, prepare and train share a group
    volume = DataVolume(Path(config.data_dir))
    attempt = join(config, int(os.environ.get(CLAIM_ENV, "0")))
    warnings = check_template(config)
    if not volume.root.is_dir():
        raise InvalidDataError(f"there is no data volume at {volume.root}")
    with attempt.start() as start:
        over = find_nothing_left(start, config)
    if over is not None:
        logger.warning("%s", over.message)
        attempt.finish(over)
        return None
    weights, resume_from, start_warnings = choose_start(attempt, config, volume)
    earlier = parse_earlier_run(config.template.model)
    facts = read_facts(weights) if earlier and weights else Facts()
    if earlier:
        check_task(earlier, facts, config.template)
    task = config.template.task or facts.task or infer_task(config.template.model)
    fetcher = Fetcher(volume, config.fetch, report)
    with volume_errors(volume.root, "prepare data on"):
        artifact = Path(config.artifact_dir)
        prepared_set = prepare_dataset(volume, config.template.data, task, report, artifact, fetcher)
        cut = fraction_warnings(config.template, prepared_set.folder, prepared_set.details)
    for line in report_lines(prepared_set.details):
        logger.info("%s", line)
    data_warnings = [*fetcher.warnings, *prepared_set.details.warnings, *cut]
    if earlier and resume_from is None:
        data_warnings += compare_with_data(earlier, facts, config, task, prepared_set)
    for sentence in data_warnings:
        logger.warning("%s", sentence)
    single_cls = parse_value(config.template.extra_args.get("single_cls", "false")) is True
    if config.stage is not None:  # else train follows in this program and may write, and imports torch anyway
        write_label_cache(prepared_set.folder, task, single_cls=single_cls)

    prepared = Prepared(
        uid=config.uid,
        run=config.run,
        attempt=config.attempt,
        dataset=prepared_set.details.dataset,
        data_yaml=str(prepared_set.data_path),
        weights=str(weights) if weights else None,
        task=facts.task,
        resume_from=str(resume_from) if resume_from else None,
        warnings=[*warnings, *start_warnings, *data_warnings],
    )
    publish_info(attempt, config, prepared_set, prepared)
    attempt.publish_info("prepare.jpg", draw_contact_sheet(prepared_set.folder, prepared_set.details))
    attempt.hand_over(prepared)
    attempt.leave()
    return prepared


def choose_start(
    attempt: Attempt, config: TrainerConfig, volume: DataVolume
) -> tuple[Path | None, Path | None, list[str]]:
    """Checkpoint or architecture to start from, file to resume from, and what is to be said of it.

    Train looks again by the same rule (`Attempt.start`): that may be hours later.
    """
    with attempt.start() as start:
        if start.stream is None:
            weights = find_model(attempt, config, volume)
            return weights, None, [_NO_RESUME] if config.resume else []
        warnings = [] if start.exact else [_WARM_START]
        if start.attempt is None and start.path:
            check_checkpoint(start.path)
            return start.path, start.path, warnings
        try:
            return find_model(attempt, config, volume), start.path, warnings
        except WeightsMissingError as error:
            known = attempt.find_weights(start)
            if known is None:
                raise
            instead = f"{error.message}; went on with the model of the run folder"
            return known, start.path, [*warnings, instead]


def find_model(attempt: Attempt, config: TrainerConfig, volume: DataVolume) -> Path | None:
    """The file that `template.model` means, one of an earlier run copied aside; None for an architecture of
    the package. Raises as `resolve_model` and `copy_earlier`."""
    earlier = parse_earlier_run(config.template.model)
    if earlier is None:
        return resolve_model(config.template.model, volume.weights)
    return attempt.keep_initial(partial(copy_earlier, earlier, Path(config.runs_dir)))


def compare_with_data(
    earlier: EarlierRun, facts: Facts, config: TrainerConfig, task: Task, prepared_set: PreparedSet
) -> list[str]:
    """How the data differs from what the earlier run was trained on."""
    template, details = config.template, prepared_set.details
    # Of a classification the data is a folder.
    described = yaml.safe_load(prepared_set.data_path.read_text("utf-8")) if details.data_yaml else {}
    return tell_differences(
        earlier,
        facts,
        list(details.dataset.classes),
        template.imgsz,
        int(described.get("channels", COLOURS)),
        by_name=task != "classify" and parse_value(template.extra_args.get("cls_remap", "true")) is True,
    )


def publish_info(
    attempt: Attempt, config: TrainerConfig, prepared_set: PreparedSet, prepared: Prepared
) -> None:
    """The files that the older server kept in `train_info/<m>/`, and the whole report as `prepare.json`."""
    template = config.template
    names = dict(enumerate(prepared.dataset.classes))
    data = {"path": str(prepared_set.folder), "train": "images/train", "val": "images/val"}
    attempt.publish_info("train.yaml", _yaml({**data, "nc": len(names), "names": names}))
    hyperparameters = {**template.hyperparameters}
    for name, text in template.extra_args.items():
        hyperparameters.setdefault(name, parse_value(text))  # type: ignore[arg-type]
    attempt.publish_info("hyp.yaml", _yaml(hyperparameters))
    details = {**prepared_set.details.to_wire(), **prepared.to_wire()}
    attempt.publish_info("prepare.json", json.dumps(details, indent=1).encode())
    for split in ("train", "val"):
        origin = prepared_set.origins.get(split)
        if origin is not None and origin.kind == "ucd":
            attempt.publish_info(f"{split}_ucd.json", origin.path)


def _yaml(content: object) -> bytes:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode()
