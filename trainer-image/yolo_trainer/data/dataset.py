"""From the references of `template.data` to a prepared data set: read, verify, convert, split, build."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from yolo_crds.layout import ARTIFACT_DIR, DataVolume
from yolo_crds.training import Data, Task

from ..errors import TrainerError, volume_errors
from .border import count_elsewhere
from .class_choice import choose_classes
from .convert import Target
from .earlier import is_found_whole, keys_of, known_facts, recall_set, with_known
from .formats import open_source
from .frame_choice import settle_frames
from .images import ImageFacts
from .index import Index
from .inspection import Inspected, Inspection
from .items import make_items
from .job import Job
from .locate import Located, Locator
from .lost_labels import apply_rule
from .manifest import Details, read_manifest
from .missing_classes import Asked, Unit
from .parallel import Report, Workers, map_chunks, map_waiting
from .prepared_set import build_set
from .readings import build_conversions
from .recall import Origin, Outcome, recall_key, states_of
from .remote import Remote, fill, find
from .set_plan import SetPlan
from .skipped import Skipped
from .source import Source
from .splits import Part, split_parts
from .stray_labels import count_stray
from .summary import summarize
from .task_fit import (
    check_channels,
    check_class_codes,
    check_label_files,
    check_outlines,
    check_same_keypoints,
    count_unlabelled,
)
from .tree import Tree, open_image
from .usage import make_to_use


@dataclass(frozen=True)
class PreparedSet:
    """Where a prepared data set lies and what is to be said about it."""

    folder: Path
    details: Details
    origins: dict[str, Origin]
    """What the fields of `template.data` were taken for: `train`, and `val` where it was given."""

    @property
    def data_path(self) -> Path:
        """What Ultralytics takes as `data`."""
        return self.folder / self.details.data_yaml


def prepare_dataset(
    volume: DataVolume,
    data: Data,
    task: Task,
    report: Report,
    image_folder: Path = ARTIFACT_DIR,
    remote: Remote | None = None,
) -> PreparedSet:
    """Verifies and converts what `data` names into `prepared/<hash>`; an unchanged set is only looked at.

    `image_folder` is where `data.image` is mounted. What the volume lacks is left to the `remote`; without
    one nothing is fetched. Raises InvalidDataError for data that cannot be trained on, FetchFailedError, else
    what `errors.volume_errors` raises.
    """
    tree = open_image(data.image, image_folder) if data.image else Tree(volume)
    job = Job(volume, data, task, report, tree, remote)
    try:
        return _prepare(job)
    except TrainerError as error:
        raise error.reworded(job.told) from error


def _prepare(job: Job) -> PreparedSet:
    volume, data, task, report, tree = job.volume, job.data, job.task, job.report, job.tree
    paths = {name: find(tree, reference, name, job.remote) for name, reference in _references(data).items()}
    index, about = Index(volume.index), recall_key(job.options, paths, tree.image)
    if (outcome := index.outcome(about)) and (recalled := recall_set(job, index, outcome)):
        return PreparedSet(volume.prepared / outcome.hash, recalled, outcome.origins)
    sources = _open_sources(job, paths)
    parts = split_parts(job.data, sources)
    located = _locate_all(job, sources, parts)
    check_channels(sources)
    check_label_files(sources["train"], located)
    count_unlabelled(sources, located, job.skipped)
    count_stray(sources, located, job.skipped)
    count_elsewhere(sources, located, job.skipped)
    target = Target(task, tuple(choose_classes(job, sources["train"])), sources["train"].kpt_shape)
    job.warnings += check_class_codes(target.names)
    passed = sources["train"].passed.for_classes(sources["train"].names, target.names)
    # From here on samples are let go of one by one: their labels are most of what is in memory.
    sources = {name: replace(source, samples=[], own_val=None) for name, source in sources.items()}
    parts = {split: replace(part, samples=[]) for split, part in parts.items()}
    located = fill(job.trees[0], located, job.remote)  # once nothing else is known to be wrong
    key, source_key = keys_of(job, sources, target, located)
    origins = {name: Origin(kind=source.kind, path=source.path) for name, source in sources.items()}
    states, total = states_of(paths, sources, located, job.trees, job.started_ns), len(located)

    def conclude(details: Details) -> PreparedSet:
        # Of an image that was left out nothing would tell that it can be taken now.
        if key and states is not None and details.dataset.images >= total:
            outcome = Outcome(hash=details.dataset.hash, key=key, origins=origins, states=states)
            index.remember_outcome(about, outcome)
        return PreparedSet(volume.prepared / details.dataset.hash, details, origins)

    if key and (details := index.lookup(key)) and is_found_whole(job, details, located):
        return conclude(details)
    known = known_facts(job, index.last_hash(source_key))
    inspected = _inspect_all(job, located, known, sources, target, parts)
    check_outlines(sources["train"], task, inspected)
    items = make_items(job.data, target, inspected, job.skipped, parts.get("val"))
    flip_idx = sources["train"].flip_idx
    flips = tuple(flip_idx) if flip_idx is not None else None
    plan = SetPlan(target, items, flips, job.trees, passed, job.data.copy_images)
    details = _describe(job, sources, plan)
    folder = volume.prepared / details.dataset.hash
    make_to_use(
        folder,
        lambda: build_set(plan, details, volume.prepared, report),
        is_whole=lambda: read_manifest(folder) is not None,
    )
    index.remember(key, source_key, details)
    return conclude(details)


def _describe(job: Job, sources: Mapping[str, Source], plan: SetPlan) -> Details:
    """What is to be said of a set; raises InvalidDataError when there is nothing to learn from."""
    taken_for = {name: f"{source.kind}: {source.why}" for name, source in sources.items()}
    named = job.train + (f" in {job.data.image}" if job.data.image else "")
    job.skipped.reword(job.told)
    asked = _asked(job, sources, plan.target.names)
    return summarize(plan, sources["train"].kind, named, job.skipped, job.warnings, taken_for, asked)


def _asked(job: Job, sources: Mapping[str, Source], names: tuple[str, ...]) -> Asked:
    """The classes that are asked for. Rows of YOLO without names count by position: all of them are meant."""
    declared: set[str] = set()
    for source in sources.values():
        declared.update(source.names or (() if source.in_pixels else names))
    unit: Unit = "image" if job.task == "classify" else "box"
    return Asked(names, job.data.missing_classes, frozenset(declared), unit)


def _references(data: Data) -> dict[str, str]:
    """What the user named, by field."""
    val = {} if data.val in (None, "", "None") else {"val": str(data.val)}
    return {"train": data.train, **val}


def _open_sources(job: Job, paths: Mapping[str, Path]) -> dict[str, Source]:
    sources = {}
    for name, path in paths.items():
        named = f"template.data.{name}"
        with volume_errors(path, "read"):
            source = open_source(
                path,
                job.tree,
                job.volume,
                job.task,
                job.skipped,
                named,
                job.report,
                take_crowds=job.data.crowd == "take",
            )
        job.warnings += map(job.told, source.warnings)
        sources[name] = source
    check_same_keypoints(sources["train"], sources.get("val", sources["train"]))
    return sources


def _locate_all(job: Job, sources: dict[str, Source], parts: dict[str, Part]) -> list[Located]:
    for part in parts.values():
        if not part.samples:
            raise part.refuse("images", job.skipped)
    trees = {split: sources.get(split, sources["train"]).tree for split in parts}
    locator = Locator(trees, {split: part.field for split, part in parts.items()})
    todo = ((split, sample) for split, part in parts.items() for sample in part.samples)
    total = sum(len(part.samples) for part in parts.values())
    return list(map_waiting(locator, todo, total, "scan", job.report))


def _inspect_all(
    job: Job,
    located: list[Located],
    known: dict[str, ImageFacts],
    sources: dict[str, Source],
    target: Target,
    parts: dict[str, Part],
) -> list[Inspected]:
    """The usable samples, some of each part; `located` is empty afterwards."""
    total, conversions = len(located), build_conversions(sources, target, located)
    todo = (with_known(one, known) for one in _drain(located))
    work = Inspection(job.data.verify == "decode", conversions)
    usable, lost = [], {split: Skipped() for split in parts}
    for one in map_chunks(work, todo, total, Workers.computing(total), "verify", job.report):
        if one.problem:
            detail = f" ({one.detail})" if one.detail else ""
            lost[one.split].add(one.problem, f"{one.shown}{detail}")
        else:
            usable.append(one)
    for split, part in parts.items():
        if not any(one.split == split for one in usable):
            raise part.refuse("usable image", lost[split])
        job.skipped.merge(lost[split])
    settle_frames(usable, sources, job.skipped)
    for one in usable:
        if one.reading.skipped:
            job.skipped.merge(one.reading.skipped)
    usable = apply_rule(usable, job.data.lost_labels, parts, job.skipped)
    for split, part in parts.items():
        if not any(one.split == split for one in usable):
            raise part.refuse("image whose labels can be used", job.skipped)
    return usable


def _drain(located: list[Located]) -> Iterator[Located]:
    """The elements in their order, none of them kept."""
    located.reverse()
    while located:
        yield located.pop()
