"""What makes up a prepared set, where its files lie, and the hash that it is known by. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .convert import Target
from .images import ImageFacts
from .manifest import Entry
from .masks import Mask
from .readers.data_yaml import MASKS
from .source import COLOURS, Passed
from .tree import Tree

DATA_YAML = "data.yaml"
_LAYOUT = 2  # part of the hash: raise it when the same content is to be laid out anew
_HASH_LENGTH = 32  # hex digits; 128 bits


def label_of(image: str) -> str | None:
    """Path of an image's label file in the set; None for classification, which has none."""
    if not image.startswith("images/"):
        return None
    return f"labels/{image.removeprefix('images/').rpartition('.')[0]}.txt"


def mask_of(image: str) -> str:
    """Path of an image's class mask in a set that has masks in place of label files."""
    return f"{MASKS}/{image.removeprefix('images/').rpartition('.')[0]}.png"


@dataclass(frozen=True, slots=True)
class Item:
    """One image of the set and its label lines."""

    split: str
    """`train` or `val`."""
    name: str
    """File name in the set."""
    facts: ImageFacts
    text: str = ""
    """Its label file: one string, which takes a fifth of the memory of its lines."""
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
        return self.class_name is None and not (self.text or (self.class_mask and self.class_mask.classes))

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
    def lines(self) -> list[str]:
        return self.text.splitlines()


@dataclass(frozen=True)
class SetPlan:
    """All that makes up a prepared set."""

    target: Target
    items: Sequence[Item]
    flip_idx: tuple[int, ...] | None = None
    trees: Sequence[Tree] = (Tree(),)
    """Where images lie: the data volume, and the image volume where there is one."""
    passed: Passed = field(default_factory=Passed)
    """By the class indices of the target."""
    copy_images: bool = False
    """Copy all images; otherwise only those that a link would not do for."""

    @property
    def volume(self) -> Tree:
        """The data volume."""
        return self.trees[0]

    def tree_of(self, facts: ImageFacts) -> Tree:
        """The tree that an image lies in."""
        for tree in self.trees[1:]:
            if tree.holds(facts.path):
                return tree
        return self.volume

    def shown(self, item: Item) -> str:
        """The image that an item is made of, for people."""
        return self.tree_of(item.facts).relative(item.facts.path)

    def is_copied(self, facts: ImageFacts) -> bool:
        """Whether an image is copied: one that must be completed, or that train could not see by a link."""
        return self.copy_images or facts.unfinished or self.tree_of(facts).image is not None

    def entry(self, item: Item) -> Entry:
        """The manifest's line of an image."""
        facts, tree = item.facts, self.tree_of(item.facts)
        return Entry(
            file=item.image,
            source=tree.relative(facts.path),
            image=tree.image,
            size=facts.size,
            mtime_ns=facts.mtime_ns,
            inode_ns=facts.inode_ns,
            sha256=facts.sha256,
            width=facts.width,
            height=facts.height,
            copied=self.is_copied(facts),
            completed=facts.unfinished,
            decoded=facts.decoded,
            orientation=facts.orientation,
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
        if self.passed.channels != COLOURS:
            content["channels"] = self.passed.channels
        if self.passed.kpt_names:
            content["kpt_names"] = {i: list(names) for i, names in self.passed.kpt_names.items()}
        if self.passed.kpt_oks_sigmas:
            content["kpt_oks_sigmas"] = list(self.passed.kpt_oks_sigmas)
        return {**content, "nc": len(self.target.names), "names": dict(enumerate(self.target.names))}

    def content_hash(self) -> str:
        """Of image contents, names, labels, class order and options: equal whatever the source's format."""
        rows = (
            content_row(
                item.image,
                item.facts.sha256,
                item.lines,
                item.class_mask.sha256 if item.class_mask else None,
            )
            for item in sorted(self.items, key=lambda i: i.image)
        )
        return hash_content(self.target.task, self.data_yaml(), rows)


def content_row(image: str, sha256: str, lines: Sequence[str], mask_sha256: str | None = None) -> bytes:
    """What one image adds to a set's hash: its path in the set, its content, and its label lines or mask."""
    row = [image, sha256, lines, *([mask_sha256] if mask_sha256 else [])]
    return json.dumps(row).encode() + b"\n"


def hash_content(task: str, data_yaml: Mapping[str, object], rows: Iterable[bytes]) -> str:
    """The hash of a set whose images give these rows (`content_row`), in the order of their paths."""
    digest = hashlib.sha256(json.dumps([_LAYOUT, task, data_yaml], sort_keys=True).encode())
    for row in rows:
        digest.update(row)
    return digest.hexdigest()[:_HASH_LENGTH]
