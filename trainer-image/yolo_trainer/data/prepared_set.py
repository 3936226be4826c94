"""Build a prepared data set under its content hash: labels, links to images or copies, manifest, report.

Built in a folder beside and renamed, so it is whole or not there; of two builders the slower takes the
faster's.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from ..cgroup import cpus
from ..errors import volume_errors
from ..volume import TEMPORARY_PREFIX, fsync_folder, write_atomic
from .convert import Target
from .copies import check_room, copy_image
from .data_yaml import MASKS
from .images import ImageFacts, Report, map_parallel
from .manifest import FILE_NAME, Details, Entry, Manifest, is_damaged, read_manifest
from .masks import Mask, mask_png
from .tree import Tree
from .usage import mark_used

DATA_YAML = "data.yaml"
REPORT = "report.json"
_LAYOUT = 1  # part of the hash: raise it when the same content is to be laid out anew
STALE_SECONDS = 24 * 3600
"""Something temporary of this age is of a killed process: none works so long on one set."""
_HASH_LENGTH = 32  # hex digits; 128 bits


def label_of(image: str) -> str | None:
    """Path of an image's label file in the set; None for classification, which has none."""
    if not image.startswith("images/"):
        return None
    return f"labels/{image.removeprefix('images/').rpartition('.')[0]}.txt"


def mask_of(image: str) -> str:
    """Path of an image's class mask in a set that has masks in place of label files."""
    return f"{MASKS}/{image.removeprefix('images/').rpartition('.')[0]}.png"


@dataclass(frozen=True)
class Item:
    """One image of the set and its label lines."""

    split: str
    """`train` or `val`."""
    name: str
    """File name in the set."""
    facts: ImageFacts
    lines: tuple[str, ...] = ()
    class_name: str | None = None
    """Classification: the folder that stands for the class."""
    class_mask: Mask | None = None
    """Semantic segmentation by masks, in place of label lines."""

    @property
    def classes(self) -> list[int]:
        """Class index of each box; of a mask each class that it shows, once."""
        if self.class_mask is not None:
            return list(self.class_mask.classes)
        return [int(line.split(" ", 1)[0]) for line in self.lines]

    @property
    def is_background(self) -> bool:
        """Whether nothing is to be found in it."""
        return self.class_name is None and not (self.lines or (self.class_mask and self.class_mask.classes))

    @property
    def image(self) -> str:
        """Path in the set."""
        if self.class_name is not None:
            return f"{self.split}/{self.class_name}/{self.name}"
        return f"images/{self.split}/{self.name}"

    @property
    def label(self) -> str | None:
        """Path of the label file in the set; None for classification and with a mask."""
        return None if self.class_mask else label_of(self.image)

    @property
    def mask(self) -> str | None:
        """Path of the mask in the set, where there is one."""
        return mask_of(self.image) if self.class_mask else None

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)


@dataclass(frozen=True)
class SetPlan:
    """All that makes up a prepared set."""

    target: Target
    items: Sequence[Item]
    flip_idx: tuple[int, ...] | None = None
    trees: Sequence[Tree] = (Tree(),)
    """Where images lie: the data volume, and the image volume where there is one."""
    copy_images: bool = False
    """Copy all images; otherwise only those that a link would not do for."""

    @property
    def volume(self) -> Tree:
        """The data volume."""
        return self.trees[0]

    def tree_of(self, facts: ImageFacts) -> Tree:
        """The tree that an image lies in."""
        for tree in self.trees[1:]:
            if Path(facts.path).is_relative_to(tree.root):
                return tree
        return self.volume

    def is_copied(self, facts: ImageFacts) -> bool:
        """Whether an image is copied: one that must be completed, or that train could not see by a link."""
        return self.copy_images or facts.unfinished or self.tree_of(facts).image is not None

    def entry(self, item: Item) -> Entry:
        """The manifest's line of an image."""
        facts, tree = item.facts, self.tree_of(item.facts)
        return Entry(
            file=item.image,
            source=str(Path(facts.path).relative_to(tree.root)),
            image=tree.image,
            size=facts.size,
            mtime_ns=facts.mtime_ns,
            inode_ns=facts.inode_ns,
            sha256=facts.sha256,
            width=facts.width,
            height=facts.height,
            copied=self.is_copied(facts),
            completed=facts.unfinished,
        )

    @property
    def is_classification(self) -> bool:
        return self.target.task == "classify"

    @property
    def has_masks(self) -> bool:
        """Whether classes are told by masks; labels and masks do not mix."""
        return any(item.class_mask for item in self.items)

    def data_yaml(self) -> dict[str, object]:
        """Ultralytics' description of the set. No `path`: the folder is where the file lies."""
        content: dict[str, object] = {"train": "images/train", "val": "images/val"}
        if self.has_masks:
            content["masks_dir"] = MASKS
        if self.target.kpt_shape:
            content["kpt_shape"] = list(self.target.kpt_shape)
        if self.flip_idx is not None:
            content["flip_idx"] = list(self.flip_idx)
        return {**content, "nc": len(self.target.names), "names": dict(enumerate(self.target.names))}

    def content_hash(self) -> str:
        """Of image contents, names, labels, class order and options: equal whatever the source's format."""
        head = [_LAYOUT, self.target.task, self.data_yaml()]
        digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
        for item in sorted(self.items, key=lambda i: i.image):
            row: list[object] = [item.image, item.facts.sha256, item.lines]
            if item.class_mask:
                row.append(item.class_mask.sha256)
            digest.update(json.dumps(row).encode() + b"\n")
        return digest.hexdigest()[:_HASH_LENGTH]


def build_set(plan: SetPlan, details: Details, prepared: Path, report: Report) -> Path:
    """The folder of the set, built now, or found built and mended where the plan asks for more."""
    folder = prepared / details.dataset.hash
    with volume_errors(prepared, "write below"):
        prepared.mkdir(parents=True, exist_ok=True)
        collect_stale(prepared)
        if folder.exists():
            mark_used(folder)  # before it is mended: see there
        if (manifest := read_manifest(folder)) is not None:
            mend_set(folder, manifest, plan, report)
            return folder
        if folder.exists():  # without a manifest: damaged by hand, since only whole sets are renamed here
            folder.rename(_temporary(prepared, "broken"))
        temporary = _temporary(prepared, details.dataset.hash)
        try:
            _fill(temporary, plan, details, report)
            temporary.rename(folder)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            winner = read_manifest(folder)
            if error.errno not in {errno.EEXIST, errno.ENOTEMPTY} or winner is None:
                raise
            mend_set(folder, winner, plan, report)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        fsync_folder(prepared)
    return folder


def collect_stale(prepared: Path) -> None:
    """Removes what killed prepares left behind a day ago or earlier."""
    for path in prepared.glob(f"{TEMPORARY_PREFIX}*"):
        try:
            is_old = time.time() - path.lstat().st_mtime > STALE_SECONDS
        except FileNotFoundError:
            continue
        if is_old:
            shutil.rmtree(path, ignore_errors=True)


def _temporary(prepared: Path, name: str) -> Path:
    return prepared / f"{TEMPORARY_PREFIX}{name}-{secrets.token_hex(4)}"


def _fill(folder: Path, plan: SetPlan, details: Details, report: Report) -> None:
    check_room(folder.parent, (item.facts for item in plan.items if plan.is_copied(item.facts)))
    paths = (path for item in plan.items for path in (item.image, item.label, item.mask) if path)
    for parent in {path.rpartition("/")[0] for path in paths}:
        (folder / parent).mkdir(parents=True, exist_ok=True)

    def place(item: Item) -> None:
        place_image(folder / item.image, item.facts, plan)
        if item.label:
            (folder / item.label).write_text(item.text, encoding="utf-8")
        if item.mask and item.class_mask:
            (folder / item.mask).write_bytes(mask_png(item.class_mask))

    for _ in map_parallel(place, plan.items, cpus() * 4, "convert", report):
        pass
    if not plan.is_classification:
        text = yaml.safe_dump(plan.data_yaml(), sort_keys=False, allow_unicode=True)
        (folder / DATA_YAML).write_text(text, encoding="utf-8")
    (folder / REPORT).write_text(json.dumps(details.to_wire(), indent=1), encoding="utf-8")
    manifest = Manifest(hash=details.dataset.hash, images=[plan.entry(item) for item in plan.items])
    # One sync for all: an fsync for each of 100,000 label files takes minutes on a network volume.
    os.sync()
    write_atomic(folder / FILE_NAME, json.dumps(manifest.to_wire()))
    fsync_folder(folder)


def place_image(place: Path, facts: ImageFacts, plan: SetPlan, link_folder: Path | None = None) -> None:
    """A copy, or a relative link that is good wherever the volume is mounted, once it lies in `link_folder`
    (default: where it is made)."""
    if plan.is_copied(facts):
        copy_image(place, facts, plan.tree_of(facts))
    else:
        place.symlink_to(os.path.relpath(facts.path, link_folder or place.parent))


def mend_set(folder: Path, manifest: Manifest, plan: SetPlan, report: Report) -> None:
    """Replaces what is not as the manifest says by this plan's image of the same content, and links by copies
    where the plan asks for these.

    All new files are made aside and synced before the first is renamed into its place, so a full disk or a
    kill leaves the set as it was; readers see the old or the new file, of one content.
    """
    by_file = {item.image: item for item in plan.items}
    wanted = [
        by_file[entry.file]
        for entry in manifest.images
        if entry.file in by_file and (is_damaged(entry, folder, plan.volume.root) or _is_short(entry, plan))
    ]
    if not wanted:
        return
    aside = _temporary(folder.parent, folder.name)
    aside.mkdir()
    try:
        check_room(aside, (item.facts for item in wanted if plan.is_copied(item.facts)))

        def place(numbered: tuple[int, Item]) -> None:
            number, item = numbered
            place_image(aside / str(number), item.facts, plan, (folder / item.image).parent)

        for _ in map_parallel(place, list(enumerate(wanted)), cpus() * 4, "convert", report):
            pass
        os.sync()
        for number, item in enumerate(wanted):
            (aside / str(number)).replace(folder / item.image)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    new = {item.image: plan.entry(item) for item in wanted}
    images = [new.get(entry.file, entry) for entry in manifest.images]
    for cache in folder.glob("*/*.cache"):
        cache.unlink(missing_ok=True)  # keyed by times of change; the next one is written with the new ones
    write_atomic(folder / FILE_NAME, json.dumps(manifest.model_copy(update={"images": images}).to_wire()))


def _is_short(entry: Entry, plan: SetPlan) -> bool:
    return plan.copy_images and not entry.copied
