"""The prepare stage: everything that can go wrong without a GPU goes wrong here.

Claims the run folder, recognises a finished run, checks arguments and weights, prepares the data set, and
leaves `prepare.json` for the train stage. Run twice it does the same again, only faster.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import yaml

from yolo_crds.arguments import parse_value
from yolo_crds.layout import DataVolume, RunFolder
from yolo_crds.meta import attempt_token
from yolo_crds.models import infer_task
from yolo_crds.trainer import Prepared, Result, TrainerConfig

from ..data.contact_sheet import write_contact_sheet
from ..data.dataset import PreparedSet, prepare_dataset
from ..data.parallel import Report
from ..data.summary import report_lines
from ..errors import InvalidDataError, volume_errors
from ..fetch.fetcher import Fetcher
from ..runfolder.owner import Owner, check_owner, claim_folder
from ..runfolder.start import find_finished, find_foreign_last, find_resume
from ..volume import copy_atomic, write_atomic
from .arguments import check_template
from .label_cache import write_label_cache
from .models import check_checkpoint, resolve_model

logger = logging.getLogger(__name__)

_NO_RESUME = "no checkpoint to resume from; started afresh"
_WARM_START = "no state to resume exactly from; started from the folder's last.pt"


def prepare(config: TrainerConfig, report: Report) -> Prepared | Result:
    """What train needs, also stored as `RunFolder.prepared`; a Result when this run had already ended well.

    Raises a TrainerError: FencedError, InvalidArgumentsError, WeightsMissingError, LegacyCheckpointError,
    InvalidDataError, FetchFailedError, DiskFullError, VolumeFailedError.
    """
    os.umask(0o002)  # façade, prepare and train share a group
    volume = DataVolume(Path(config.data_dir))
    folder = RunFolder(config.model_name, Path(config.runs_dir))
    me = Owner.of(config)
    token = attempt_token(config.uid, config.run, config.attempt)
    claim_folder(folder, me, token)
    if finished := find_finished(folder, config):
        return finished

    warnings = check_template(config)
    if not volume.root.is_dir():
        raise InvalidDataError(f"there is no data volume at {volume.root}")
    weights, resume_from, start_warnings = choose_start(folder, config, volume)
    task = config.template.task or infer_task(config.template.model)
    fetcher = Fetcher(volume, config.fetch, report)
    with volume_errors(volume.root, "prepare data on"):
        artifact = Path(config.artifact_dir)
        prepared_set = prepare_dataset(volume, config.template.data, task, report, artifact, fetcher)
    for line in report_lines(prepared_set.details):
        logger.info("%s", line)
    data_warnings = [*fetcher.warnings, *prepared_set.details.warnings]
    for sentence in data_warnings:
        logger.warning("%s", sentence)
    single_cls = parse_value(config.template.extra_args.get("single_cls", "false")) is True
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
    check_owner(folder, me)
    write_info(folder, config, prepared_set, prepared)
    write_contact_sheet(prepared_set.folder, prepared_set.details, folder.info / "prepare.jpg")
    write_atomic(folder.prepared(token), json.dumps(prepared.to_wire(), indent=1))
    return prepared


def choose_start(
    folder: RunFolder, config: TrainerConfig, volume: DataVolume
) -> tuple[Path | None, Path | None, list[str]]:
    """Checkpoint or architecture to start from, attempt to resume from, and what is to be said of it."""
    weights = resolve_model(config.template.model, volume.weights)
    if not config.resume:
        # A restart goes on where this run was; what an earlier run left is for who asks to resume.
        own = find_resume(folder, config.uid, run=config.run) if config.attempt > 1 else None
        return weights, own, []
    if attempt := find_resume(folder, config.uid):
        return weights, attempt, []
    if foreign := find_foreign_last(folder):
        check_checkpoint(foreign)
        return foreign, None, [_WARM_START]
    return weights, None, [_NO_RESUME]


def write_info(
    folder: RunFolder, config: TrainerConfig, prepared_set: PreparedSet, prepared: Prepared
) -> None:
    """The files that the older server kept in `train_info/<m>/`, and the whole report as `prepare.json`."""
    template = config.template
    names = dict(enumerate(prepared.dataset.classes))
    data = {"path": str(prepared_set.folder), "train": "images/train", "val": "images/val"}
    write_atomic(folder.info / "train.yaml", _yaml({**data, "nc": len(names), "names": names}))
    hyperparameters = {**template.hyperparameters}
    for name, text in template.extra_args.items():
        hyperparameters.setdefault(name, parse_value(text))  # type: ignore[arg-type]
    write_atomic(folder.info / "hyp.yaml", _yaml(hyperparameters))
    details = {**prepared_set.details.to_wire(), **prepared.to_wire()}
    write_atomic(folder.info / "prepare.json", json.dumps(details, indent=1))
    for split in ("train", "val"):
        source = prepared_set.sources.get(split)
        if source is not None and source.kind == "ucd":
            copy_atomic(source.path, folder.info / f"{split}_ucd.json")


def _yaml(content: object) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
