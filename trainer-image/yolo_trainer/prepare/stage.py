"""The prepare stage: everything that can go wrong without a GPU goes wrong here.

Checks arguments and weights, prepares the data set, and leaves `prepare.json` for the train stage. Run twice
it does the same again, only faster. The supervisor has taken the run folder before.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import yaml

from yolo_crds.arguments import parse_value
from yolo_crds.layout import DataVolume
from yolo_crds.models import infer_task
from yolo_crds.trainer import Prepared, TrainerConfig

from ..data.contact_sheet import draw_contact_sheet
from ..data.dataset import PreparedSet, prepare_dataset
from ..data.parallel import Report
from ..data.summary import report_lines
from ..errors import InvalidDataError, WeightsMissingError, volume_errors
from ..fetch.fetcher import Fetcher
from ..runfolder.attempt import CLAIM_ENV, Attempt, join
from .arguments import check_template
from .checkpoints import check_checkpoint
from .fraction import fraction_warnings
from .label_cache import write_label_cache
from .models import resolve_model

logger = logging.getLogger(__name__)

_NO_RESUME = "no checkpoint to resume from; started afresh"
_WARM_START = "no state to resume exactly from; started from the folder's last.pt"


def prepare(config: TrainerConfig, report: Report) -> Prepared:
    """What train needs, also stored as `RunFolder.prepared`.

    Raises a TrainerError: FencedError, InvalidArgumentsError, WeightsMissingError, LegacyCheckpointError,
    InvalidDataError, FetchFailedError, DiskFullError, VolumeFailedError.
    """
    os.umask(0o002)  # façade, prepare and train share a group
    volume = DataVolume(Path(config.data_dir))
    attempt = join(config, int(os.environ.get(CLAIM_ENV, "0")))
    warnings = check_template(config)
    if not volume.root.is_dir():
        raise InvalidDataError(f"there is no data volume at {volume.root}")
    weights, resume_from, start_warnings = choose_start(attempt, config, volume)
    task = config.template.task or infer_task(config.template.model)
    fetcher = Fetcher(volume, config.fetch, report)
    with volume_errors(volume.root, "prepare data on"):
        artifact = Path(config.artifact_dir)
        prepared_set = prepare_dataset(volume, config.template.data, task, report, artifact, fetcher)
        cut = fraction_warnings(config.template, prepared_set.folder, prepared_set.details)
    for line in report_lines(prepared_set.details):
        logger.info("%s", line)
    data_warnings = [*fetcher.warnings, *prepared_set.details.warnings, *cut]
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
            weights = resolve_model(config.template.model, volume.weights)
            return weights, None, [_NO_RESUME] if config.resume else []
        warnings = [] if start.exact else [_WARM_START]
        if start.attempt is None and start.path:
            check_checkpoint(start.path)
            return start.path, start.path, warnings
        try:
            return resolve_model(config.template.model, volume.weights), start.path, warnings
        except WeightsMissingError as error:
            known = attempt.find_weights(start)
            if known is None:
                raise
            instead = f"{error.message}; went on with the model of the run folder"
            return known, start.path, [*warnings, instead]


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
