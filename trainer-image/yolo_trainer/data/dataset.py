"""From the references of `template.data` to a prepared data set: read, verify, convert, split, build."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from yolo_crds.layout import ARTIFACT_DIR, DataVolume
from yolo_crds.schema import load_schema
from yolo_crds.training import Data, Task

from ..cgroup import cpus
from ..errors import InvalidDataError, VolumeFailedError, volume_errors
from ..fetch.archives import shown
from ..fetch.fetcher import Fetcher
from .convert import LabelFile, Target, row_lines, shape_lines
from .formats import labels_of, open_source
from .images import ImageFacts, Report, map_parallel
from .locate import Located, inspect, locate, read_masks
from .manifest import Details, Index, is_damaged, read_manifest
from .masks import build_rule
from .prepared_set import Item, SetPlan, build_set
from .remote import fill, find
from .skipped import Skipped
from .source import Sample, Source
from .summary import summarize
from .task_fit import check_label_files
from .tree import UNTOLD, Tree, open_image
from .usage import mark_used

_VERSION = 3  # of the rules below; part of the key under which an outcome is remembered
_TRIES = 3


@dataclass(frozen=True)
class PreparedSet:
    """Where a prepared data set lies and what is to be said about it."""

    folder: Path
    details: Details
    sources: dict[str, Source]
    """What `template.data` named, by field: `train`, and `val` where it was given."""

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
    fetcher: Fetcher
    skipped: Skipped = field(default_factory=Skipped)
    warnings: list[str] = field(default_factory=list)

    @cached_property
    def trees(self) -> tuple[Tree, ...]:
        """All that files may lie in, the data volume first."""
        volume = Tree(self.volume)
        return (volume, self.tree) if self.tree.image else (volume,)

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
    fetcher: Fetcher | None = None,
) -> PreparedSet:
    """Verifies and converts what `data` names into `prepared/<hash>`; an unchanged set is only looked at.

    `image_folder` is where `data.image` is mounted. What the volume lacks is left to the `fetcher`; without
    one nothing is fetched. Raises InvalidDataError for data that cannot be trained on, FetchFailedError, else
    what `errors.volume_errors` raises.
    """
    tree = open_image(data.image, image_folder) if data.image else Tree(volume)
    job = _Job(volume, data, task, report, tree, fetcher or Fetcher(volume, None, report))
    sources = _open_sources(job)
    located = _locate_all(job, sources, _split_samples(sources))
    check_label_files(sources["train"], located)
    target = Target(task, tuple(_class_names(job, sources["train"])), sources["train"].kpt_shape)
    located = fill(job.trees[0], located, job.fetcher)  # once nothing else is known to be wrong
    key, source_key = _keys(job, sources, target, located)
    index = Index(volume.index)
    if key and (details := index.lookup(key)) and (found := _find_whole(job, details)):
        return PreparedSet(found, details, sources)
    inspected = _inspect_all(job, located, _known_facts(job, index.last_hash(source_key)))
    items = _items(job, sources, target, _with_masks(job, sources, target, inspected))
    flip_idx = sources["train"].flip_idx
    plan = SetPlan(
        target, items, tuple(flip_idx) if flip_idx is not None else None, job.trees, job.data.copy_images
    )
    taken_for = {name: f"{source.kind}: {source.why}" for name, source in sources.items()}
    named = job.train + (f" in {job.data.image}" if job.data.image else "")
    details = summarize(plan, sources["train"].kind, named, job.skipped, job.warnings, taken_for)
    folder = _build(job, plan, details)
    index.remember(key, source_key, details)
    return PreparedSet(folder, details, sources)


def _build(job: _Job, plan: SetPlan, details: Details) -> Path:
    """The folder of the set, stamped as used; made anew if the collector was faster (`usage`)."""
    for _ in range(_TRIES):
        folder = build_set(plan, details, job.volume.prepared, job.report)
        mark_used(folder)
        if read_manifest(folder) is not None:
            return folder
    raise VolumeFailedError(f"{folder} was removed {_TRIES} times while it was prepared")


def _open_sources(job: _Job) -> dict[str, Source]:
    sources = {"train": _open(job, job.data.train, "train")}
    if job.data.val not in (None, "", "None"):
        sources["val"] = _open(job, str(job.data.val), "val")
    for source in sources.values():
        job.warnings += source.warnings
    return sources


def _open(job: _Job, reference: str, data_field: str) -> Source:
    path = find(job.tree, reference, data_field, job.fetcher)
    named = f"template.data.{data_field}"
    with volume_errors(path, "read"):
        return open_source(path, job.tree, job.volume, job.task, job.skipped, named, job.report)


def _class_names(job: _Job, train: Source) -> list[str]:
    """The classes in the order of their index: the labels asked for, else those that the data set names."""
    labels = [label.strip() for label in job.data.labels]
    if labels:
        twice = [label for label, n in Counter(labels).items() if n > 1]
        if twice:
            raise InvalidDataError(f"template.data.labels: {twice[0]!r} is given twice")
        if train.kind == "folders" and labels != sorted(labels):
            job.warnings.append("classification orders classes by name, not as template.data.labels does")
        return sorted(labels) if train.kind == "folders" else labels
    if train.names:
        return train.names
    found = ", ".join(labels_of(train)[:20])
    what = f"; labels in it: {found}" if found else ""
    raise InvalidDataError(
        f"template.data.labels is empty and {train.path} gives classes no order{what}",
        "list the class names in template.data.labels; the order is the class index",
    )


def _split_samples(sources: dict[str, Source]) -> dict[str, list[Sample]]:
    """Samples by split; without `val` all are `train` still and are split once they are verified."""
    train = sources["train"]
    if "val" in sources:
        val = sources["val"]
        return {"train": train.samples, "val": val.own_val or val.samples}
    return {"train": train.samples, "val": train.own_val or []}


def _locate_all(job: _Job, sources: dict[str, Source], splits: dict[str, list[Sample]]) -> list[Located]:
    trees = {split: sources.get(split, sources["train"]).tree for split in splits}
    todo = [(split, sample, trees[split]) for split, samples in splits.items() for sample in samples]
    if not splits["train"]:
        raise InvalidDataError(f"template.data.train: no images in {job.train!r}")
    return list(map_parallel(lambda t: locate(*t), todo, cpus() * 4, "scan", job.report))


def _inspect_all(job: _Job, located: list[Located], known: dict[str, ImageFacts]) -> list[Located]:
    found = map_parallel(lambda one: inspect(one, known), located, cpus(), "verify", job.report)
    usable = []
    for one in found:
        if one.problem:
            detail = f" ({one.detail})" if one.detail else ""
            job.skipped.add(one.problem, f"{one.sample.stem}{detail}")
        else:
            usable.append(one)
    if not any(one.split == "train" for one in usable):
        reasons = "; ".join(job.skipped.sentences())
        raise InvalidDataError(f"template.data.train: no usable image in {job.train!r}; {reasons}")
    return usable


def _with_masks(
    job: _Job, sources: dict[str, Source], target: Target, located: list[Located]
) -> list[Located]:
    """The samples with the class masks read that some data sets for semantic segmentation have."""
    masked = Counter(one.mask_file is not None for one in located)
    if not masked[True]:
        return located
    if masked[False]:
        raise InvalidDataError(
            "template.data: of training and validation data one has class masks and the other has not",
            "give both masks, or both polygons",
        )
    by_split = {split: sources.get(split, sources["train"]) for split in ("train", "val")}
    rules = {
        split: build_rule(source.mask_ids, source.names or target.names, target.names)
        for split, source in by_split.items()
    }

    def shown(split: str, path: Path) -> str:
        return _shown(by_split[split], path)

    return list(read_masks(located, rules, job.skipped, shown, job.report))


def _keys(
    job: _Job, sources: dict[str, Source], target: Target, located: list[Located]
) -> tuple[str | None, str]:
    """Keys of the index: of the sources in exactly this state with these options, None where nothing tells
    that state; of the sources alone."""
    names = {name: [source.kind, str(source.path), source.tree.image] for name, source in sources.items()}
    options = [_VERSION, load_schema().ultralytics, job.data.to_wire(), target.task, target.names]
    digest = hashlib.sha256(json.dumps([options, names], sort_keys=True).encode())
    is_told = all(one.is_told for one in located)
    for source in sources.values():
        for file in source.files:
            state = source.tree.state(file.stat())
            is_told = is_told and state[-1] != UNTOLD
            digest.update(json.dumps([str(file), *state]).encode())
    for one in located:
        digest.update(json.dumps(one.state()).encode())
    source_key = hashlib.sha256(json.dumps(names, sort_keys=True).encode()).hexdigest()
    return digest.hexdigest() if is_told else None, source_key


def _find_whole(job: _Job, details: Details) -> Path | None:
    """The folder of a set that is as it was prepared, with copies if these are asked for; stamped as used."""
    folder = job.volume.prepared / details.dataset.hash
    if not folder.is_dir():
        return None
    mark_used(folder)  # before the look
    manifest = read_manifest(folder)
    if manifest is None or any(is_damaged(entry, folder, job.volume.root) for entry in manifest.images):
        return None
    return folder if not job.data.copy_images or all(entry.copied for entry in manifest.images) else None


def _known_facts(job: _Job, last_hash: str | None) -> dict[str, ImageFacts]:
    manifest = read_manifest(job.volume.prepared / last_hash) if last_hash else None
    roots = {tree.image: tree.root for tree in job.trees}
    return {facts.path: facts for facts in manifest.facts(roots)} if manifest else {}


def _items(job: _Job, sources: dict[str, Source], target: Target, located: list[Located]) -> list[Item]:
    """Items with labels converted and names unique; a validation part is split off where none is given."""
    items: list[Item] = []
    for split in ("train", "val"):
        source = sources.get(split, sources["train"])
        remap = _remap(source, target)
        stems = Counter(_stem_key(one) for one in located if one.split == split)
        for one in (o for o in located if o.split == split):
            if one.sample.class_name is not None and one.sample.class_name not in target.names:
                job.skipped.add_unknown(one.sample.class_name)
                continue
            items.append(_item(job, one, source, target, remap, unique=stems[_stem_key(one)] == 1))
    items = _without_twins(job, items)
    if not any(item.split == "val" for item in items):
        items = split_off(items, job.data.val_fraction, job.data.seed)
    return items


def _stem_key(one: Located) -> tuple[str | None, str]:
    return one.sample.class_name, one.sample.stem


def _remap(source: Source, target: Target) -> list[int | None]:
    """The target's class index by the source's."""
    if source.names is None:
        return list(range(len(target.names)))
    index = target.index
    return [index.get(name) for name in source.names]


def _item(
    job: _Job, one: Located, source: Source, target: Target, remap: Sequence[int | None], *, unique: bool
) -> Item:
    facts, sample = one.facts, one.sample
    assert facts is not None, "only usable samples become items"
    if facts.unfinished:
        job.skipped.add("restoredImage", sample.stem)
    if source.in_pixels:
        lines = shape_lines(sample, (facts.width, facts.height), target, job.skipped)
    elif one.label_text is not None:
        names = source.names or target.names
        file = LabelFile(one.label_text, _shown(source, sample.label_file), (facts.width, facts.height))
        lines = row_lines(file, remap, target, job.skipped, names)
    else:
        lines = []
    stem = sample.stem if unique else f"{sample.stem}-{facts.sha256[:8]}"
    name = f"{stem}{Path(facts.path).suffix}"
    return Item(one.split, name, facts, tuple(lines), sample.class_name, one.mask)


def _shown(source: Source, file: Path | None) -> str:
    """A label file as people see it: relative to the data volume, or the image."""
    path, tree = str(file), source.tree
    return path.removeprefix(f"{tree.root}/").removeprefix(f"{tree.layout.root}/")


def _without_twins(job: _Job, items: list[Item]) -> list[Item]:
    """Each place in the set once: two files of one name and content are one image."""
    taken: dict[str, Item] = {}
    for item in items:
        if item.image in taken:
            job.skipped.add("duplicateImage", item.name)
        else:
            taken[item.image] = item
    return list(taken.values())


def split_off(items: list[Item], fraction: float, seed: int) -> list[Item]:
    """The items with a part of them turned into validation images, at random but the same for the same names.

    A single image serves for both.
    """
    ordered = sorted(items, key=lambda item: (item.class_name or "", item.name))
    if len(ordered) == 1:
        return [ordered[0], _as_val(ordered[0])]
    count = min(max(1, round(len(ordered) * fraction)), len(ordered) - 1)
    chosen = set(random.Random(seed).sample(range(len(ordered)), count))  # noqa: S311 - no secret
    return [_as_val(item) if i in chosen else item for i, item in enumerate(ordered)]


def _as_val(item: Item) -> Item:
    return replace(item, split="val")
