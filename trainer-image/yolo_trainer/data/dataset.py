"""From the references of `template.data` to a prepared data set: read, verify, convert, split, build."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from yolo_crds.layout import ARTIFACT_DIR, DataVolume
from yolo_crds.references import shown
from yolo_crds.schema import load_schema
from yolo_crds.training import Data, Task

from ..errors import SPEC_HINT, InvalidDataError, TrainerError, volume_errors
from .border import count_elsewhere
from .convert import Target
from .formats import labels_of, open_source
from .frame_choice import settle_frames
from .images import ImageFacts
from .index import Index
from .inspection import Inspected, Inspection, build_conversions
from .items import make_items
from .locate import Located, Locator
from .lost_labels import apply_rule
from .manifest import Details, TornManifestError, is_as_read, is_whole, read_manifest
from .parallel import Report, Workers, map_chunks, map_waiting
from .prepared_set import build_set
from .recall import Origin, Outcome, recall_key, states_of
from .remote import Remote, fill, find
from .set_plan import SetPlan
from .skipped import Skipped
from .source import Source
from .splits import Part, split_parts
from .summary import summarize
from .task_fit import (
    check_channels,
    check_class_codes,
    check_label_files,
    check_outlines,
    check_same_keypoints,
    count_unlabelled,
)
from .tree import UNTOLD, Tree, open_image
from .usage import make_to_use, mark_used

_VERSION = 6  # of the rules below; part of the key under which an outcome is remembered


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


@dataclass
class _Job:
    """One preparation on its way."""

    volume: DataVolume
    data: Data
    task: Task
    report: Report
    tree: Tree
    """That `data` names paths in: the data volume, or the image volume of `data.image`."""
    remote: Remote | None
    skipped: Skipped = field(default_factory=Skipped)
    warnings: list[str] = field(default_factory=list)
    started_ns: int = field(default_factory=time.time_ns)

    @cached_property
    def trees(self) -> tuple[Tree, ...]:
        """All that files may lie in, the data volume first."""
        volume = Tree(self.volume)
        return (volume, self.tree) if self.tree.image else (volume,)

    def told(self, text: str) -> str:
        """A sentence with paths as seen from their volume."""
        for tree in self.trees:
            text = tree.told(text)
        return text

    @property
    def train(self) -> str:
        """How the user named the training data, for messages."""
        return shown(self.data.train)


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
    job = _Job(volume, data, task, report, tree, remote)
    try:
        return _prepare(job)
    except TrainerError as error:
        raise error.reworded(job.told) from error


def _prepare(job: _Job) -> PreparedSet:
    volume, data, task, report, tree = job.volume, job.data, job.task, job.report, job.tree
    paths = {name: find(tree, reference, name, job.remote) for name, reference in _references(data).items()}
    index, about = Index(volume.index), recall_key(_options(job), paths, tree.image)
    if (outcome := index.outcome(about)) and (recalled := _recall_set(job, index, outcome)):
        return recalled
    sources = _open_sources(job, paths)
    parts = split_parts(job.data, sources)
    located = _locate_all(job, sources, parts)
    check_channels(sources)
    check_label_files(sources["train"], located)
    count_unlabelled(sources, located, job.skipped)
    count_elsewhere(sources, located, job.skipped)
    target = Target(task, tuple(_class_names(job, sources["train"])), sources["train"].kpt_shape)
    job.warnings += check_class_codes(target.names)
    passed = sources["train"].passed.for_classes(sources["train"].names, target.names)
    # From here on samples are let go of one by one: their labels are most of what is in memory.
    sources = {name: replace(source, samples=[], own_val=None) for name, source in sources.items()}
    parts = {split: replace(part, samples=[]) for split, part in parts.items()}
    located = fill(job.trees[0], located, job.remote)  # once nothing else is known to be wrong
    key, source_key = _keys(job, sources, target, located)
    origins = {name: Origin(kind=source.kind, path=source.path) for name, source in sources.items()}
    states, total = states_of(paths, sources, located, job.trees, job.started_ns), len(located)

    def conclude(details: Details) -> PreparedSet:
        # Of an image that was left out nothing would tell that it can be taken now.
        if key and states is not None and details.dataset.images >= total:
            outcome = Outcome(hash=details.dataset.hash, key=key, origins=origins, states=states)
            index.remember_outcome(about, outcome)
        return PreparedSet(volume.prepared / details.dataset.hash, details, origins)

    if key and (details := index.lookup(key)) and _is_whole(job, details, located):
        return conclude(details)
    known = _known_facts(job, index.last_hash(source_key))
    inspected = _inspect_all(job, located, known, sources, target, parts)
    check_outlines(sources["train"], task, inspected)
    items = make_items(job.data, target, inspected, job.skipped, parts.get("val"))
    flip_idx = sources["train"].flip_idx
    plan = SetPlan(
        target,
        items,
        tuple(flip_idx) if flip_idx is not None else None,
        job.trees,
        passed,
        job.data.copy_images,
    )
    taken_for = {name: f"{source.kind}: {source.why}" for name, source in sources.items()}
    named = job.train + (f" in {job.data.image}" if job.data.image else "")
    job.skipped.reword(job.told)
    details = summarize(plan, sources["train"].kind, named, job.skipped, job.warnings, taken_for)
    folder = volume.prepared / details.dataset.hash
    make_to_use(
        folder,
        lambda: build_set(plan, details, volume.prepared, report),
        is_whole=lambda: read_manifest(folder) is not None,
    )
    index.remember(key, source_key, details)
    return conclude(details)


def _references(data: Data) -> dict[str, str]:
    """What the user named, by field."""
    val = {} if data.val in (None, "", "None") else {"val": str(data.val)}
    return {"train": data.train, **val}


def _open_sources(job: _Job, paths: Mapping[str, Path]) -> dict[str, Source]:
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


def _class_names(job: _Job, train: Source) -> list[str]:
    """The classes in the order of their index: the labels asked for, else those that the data set names."""
    labels = [label.strip() for label in job.data.labels]
    if labels:
        twice = [label for label, n in Counter(labels).items() if n > 1]
        if twice:
            raise InvalidDataError(f"template.data.labels: {twice[0]!r} is given twice", SPEC_HINT)
        if "" in labels:
            raise InvalidDataError(f"template.data.labels: label {labels.index('')} is blank", SPEC_HINT)
        if train.kind == "folders" and labels != sorted(labels):
            job.warnings.append("classification orders classes by name, not as template.data.labels does")
        if train.names_note and not set(labels) & set(train.names or ()):
            raise InvalidDataError(
                f"template.data.labels: {', '.join(labels[:20])}: {train.names_note}",
                "write `names:` into the data.yaml, or leave template.data.labels empty",
            )
        return sorted(labels) if train.kind == "folders" else labels
    if train.names:
        return train.names
    found = ", ".join(labels_of(train)[:20])
    what = "; ".join(["", *([f"labels in it: {found}"] if found else []), *train.warnings])
    raise InvalidDataError(
        f"template.data.labels is empty and {train.path} gives classes no order{what}",
        "list the class names in template.data.labels; the order is the class index",
    )


def _locate_all(job: _Job, sources: dict[str, Source], parts: dict[str, Part]) -> list[Located]:
    for part in parts.values():
        if not part.samples:
            raise part.refuse("images", job.skipped)
    trees = {split: sources.get(split, sources["train"]).tree for split in parts}
    todo = ((split, sample) for split, part in parts.items() for sample in part.samples)
    total = sum(len(part.samples) for part in parts.values())
    return list(map_waiting(Locator(trees), todo, total, "scan", job.report))


def _inspect_all(
    job: _Job,
    located: list[Located],
    known: dict[str, ImageFacts],
    sources: dict[str, Source],
    target: Target,
    parts: dict[str, Part],
) -> list[Inspected]:
    """The usable samples, some of each part; `located` is empty afterwards."""
    total, conversions = len(located), build_conversions(sources, target, located)
    todo = (_recall(one, known) for one in _drain(located))
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


def _recall(located: Located, known: dict[str, ImageFacts]) -> Located:
    """With what an earlier preparation found out about the image, if that still holds."""
    if located.facts is None:
        return located
    earlier = known.get(located.facts.path)
    if earlier is None or not earlier.is_unchanged(located.facts):
        return located
    return located._replace(facts=earlier)


def _keys(
    job: _Job, sources: dict[str, Source], target: Target, located: list[Located]
) -> tuple[str | None, str]:
    """Keys of the index: of the sources in exactly this state with these options, None where nothing tells
    that state; of the sources alone."""
    names = {name: [source.kind, str(source.path), source.tree.image] for name, source in sources.items()}
    options = [*_options(job), target.names]
    digest = hashlib.sha256(json.dumps([options, names], sort_keys=True).encode())
    is_told = all(one.is_told for one in located)
    for source in sources.values():
        for file in source.files:
            state = source.tree.state(file.stat())
            is_told = is_told and state[-1] != UNTOLD
            digest.update(json.dumps([str(file), *state]).encode())
    for one in located:
        digest.update(repr(one.state()).encode("utf-8", "surrogateescape"))
    source_key = hashlib.sha256(json.dumps(names, sort_keys=True).encode()).hexdigest()
    return digest.hexdigest() if is_told else None, source_key


def _options(job: _Job) -> list[object]:
    """What an outcome depends on besides files."""
    return [_VERSION, load_schema().ultralytics, job.data.to_wire(), job.task]


def _recall_set(job: _Job, index: Index, outcome: Outcome) -> PreparedSet | None:
    """The set that was prepared from the same references, if all that it was made of is as it was."""
    details = index.lookup(outcome.key)
    folder = job.volume.prepared / outcome.hash
    if details is None or not outcome.holds(job.trees) or not folder.is_dir():
        return None
    mark_used(folder)  # before the look
    manifest = read_manifest(folder)
    if manifest is None or not is_as_read(manifest, {tree.image: tree for tree in job.trees}, job.report):
        return None
    return PreparedSet(folder, details, outcome.origins)


def _is_whole(job: _Job, details: Details, located: list[Located]) -> bool:
    """Whether a set is as it was prepared, with copies if these are asked for; it is stamped as used."""
    folder = job.volume.prepared / details.dataset.hash
    if not folder.is_dir():
        return False
    mark_used(folder)  # before the look
    manifest = read_manifest(folder)
    if manifest is None:
        return False
    seen = {one.facts.path: one.facts.state for one in located if one.facts}
    root, only_copies = job.trees[0].root, job.data.copy_images
    return is_whole(manifest, root, seen, job.report, only_copies=only_copies)


def _known_facts(job: _Job, last_hash: str | None) -> dict[str, ImageFacts]:
    """What is known of images, by path, as deep as it is asked for."""
    manifest = read_manifest(job.volume.prepared / last_hash) if last_hash else None
    roots = {tree.image: tree.root for tree in job.trees}
    facts = manifest.facts(roots) if manifest else ()
    is_enough = job.data.verify == "header"
    try:
        return {one.path: one for one in facts if one.orientation and (one.decoded or is_enough)}
    except TornManifestError:
        return {}
