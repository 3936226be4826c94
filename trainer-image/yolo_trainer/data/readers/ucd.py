"""Read UCD data sets: one JSON file that lists images by code and holds their shapes in pixels.

Older forms too: `xml_info` in place of `shapes`, and the split files `.uci`, `.obi`, `.szi` with volumes.
Missing and null keys mean "none".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import InvalidDataError
from ..json_file import read_outline, stream_json
from ..skipped import Skipped
from ..source import FOUR_CORNERS, Sample, Shape, Source, as_point, as_size
from .packed_shapes import PackedShapes

IMAGE_ENDINGS = (".jpg", ".JPG", ".png", ".PNG")
"""In the order in which `img_cache` is searched."""
_KEYS = frozenset({"uc_list", "shapes", "xml_info"})
_NAME_MAX = 200  # bytes; leaves room for endings within the 255 of a file name


def is_ucd(content: Mapping[str, Any]) -> bool:
    """Whether a JSON object looks like a UCD data set; unlike in LabelMe's files, `shapes` is no list."""
    return "uc_list" in content or isinstance(content.get("shapes") or content.get("xml_info"), dict)


def is_volume(path: Path) -> bool:
    """Whether a file is a part of a split data set that cannot be named by itself."""
    return path.suffix in {".obi", ".szi"} or bool(re.fullmatch(r"\.[uos]\d+", path.suffix))


def split_source(path: Path, images: Path, skipped: Skipped) -> Source:
    """The data set in the .uci file `path` and its further volumes; otherwise as `ucd_source`."""
    return _source(path, [path, *_parts(path)], images, skipped)


def ucd_source(path: Path, images: Path, skipped: Skipped) -> Source:
    """The data set that the JSON file `path` describes; its images lie in the folder `images`.

    Raises InvalidDataError when it is no UCD data set.
    """
    outline = read_outline(path, enough=lambda so_far: bool(_KEYS & so_far.keys()))
    if not _KEYS & outline.keys():
        raise InvalidDataError(
            f"{path} is no UCD data set: it has neither uc_list nor shapes",
            "a .json is a UCD data set (uc_list, shapes) or a COCO file (images, annotations)",
        )
    return _source(path, [path], images, skipped)


def _broken(entry: object) -> Shape:
    """In place of a shape that could not be read; with its label, if it has one."""
    label = entry.get("label") if isinstance(entry, dict) else None
    return Shape("broken", label.strip() if isinstance(label, str) else "", ())


@dataclass(slots=True)
class _Labels:
    """What a data set says about one image."""

    shapes: PackedShapes = field(default_factory=PackedShapes)

    def add(self, entries: list[Any], read: Callable[[Any], Shape | None]) -> None:
        """Takes the shapes of a list."""
        for entry in entries:
            self.shapes.append(read(entry) or _broken(entry))


def _source(path: Path, files: list[Path], images: Path, skipped: Skipped) -> Source:
    content = _Content()
    for file in files:
        content.read(file)
    codes = list(content.labels) if content.codes is None else content.codes
    if not codes or (content.codes is None and _has_empty_list(path)):
        raise InvalidDataError(f"{path} lists no image: its uc_list is empty")
    samples: dict[str, Sample] = {}
    for uc in codes:
        if not _is_safe(uc):
            skipped.add("unsafeName", repr(uc)[:60])
        elif uc in samples:
            skipped.add("duplicateImage", uc)
        else:
            found = content.labels.get(uc) or _Labels()
            samples[uc] = Sample(uc, images, IMAGE_ENDINGS, found.shapes, content.sizes.get(uc))
    for uc in sorted(content.labels.keys() - set(codes)):
        for _ in content.labels[uc].shapes:
            skipped.add("strayLabel", uc)
    why = "it has shapes by code" if content.codes is None else "it has uc_list"
    return Source(kind="ucd", path=path, samples=list(samples.values()), files=files, in_pixels=True, why=why)


def _has_empty_list(path: Path) -> bool:
    """Whether there is a list of codes after all, of which nothing was streamed."""
    return isinstance(read_outline(path, lambda so_far: "uc_list" in so_far).get("uc_list"), list)


@dataclass(slots=True)
class _Content:
    """What one data set's files say, by code; they are streamed, since they hold all of its labels."""

    codes: list[str] | None = None
    """None as long as there is no list of them."""
    labels: dict[str, _Labels] = field(default_factory=dict)
    sizes: dict[str, tuple[float, float] | None] = field(default_factory=dict)

    def read(self, file: Path) -> None:
        """Adds what a file says."""
        for key, name, raw in stream_json(file, _STREAMED):
            uc = str(name)
            if key in _READERS and isinstance(name, int):
                raise InvalidDataError(f"{file}: `{key}` is a list, not an object with a list for each code")
            match key, raw:
                case "uc_list", _:
                    self.codes = self.codes or []
                    self.codes.append(str(raw))
                case "size_info", _:
                    self.sizes[uc] = as_size(raw)
                case (("shapes" | "xml_info"), [*entries]):
                    self.labels.setdefault(uc, _Labels()).add(entries, _READERS[key])
                case (("shapes" | "xml_info"), _) if raw is not None:
                    self.labels.setdefault(uc, _Labels()).shapes.append(_broken(raw))


def _parts(path: Path) -> list[Path]:
    """The files beside NAME.uci that belong to it; raises InvalidDataError when a volume is missing."""
    ends = [p.suffix for p in path.parent.iterdir() if p.stem == path.stem and is_volume(p)]
    numbers = {int(end[2:]) for end in ends if end[2:].isdigit()}
    if gaps := set(range(1, max(numbers, default=0) + 1)) - numbers:
        missing = path.with_suffix(f".u{min(gaps)}").name
        raise InvalidDataError(f"{path}: its volume {missing} is missing; there are {max(numbers)}")
    in_order = [".obi", ".szi", *(f".{kind}{n}" for n in sorted(numbers) for kind in "uos")]
    return [path.with_suffix(end) for end in in_order if end in ends]


def _is_safe(uc: str) -> bool:
    """Whether a code is a plain file stem: it becomes part of paths."""
    if not uc.strip() or uc.startswith(".") or len(uc.encode("utf-8", "replace")) > _NAME_MAX:
        return False
    return uc.isprintable() and not set(uc) & set("/\\")


def _shape(raw: object) -> Shape | None:
    match raw:
        case {"label": str() as label, "points": [*raw_points], **rest}:
            kind = str(rest.get("shape_type") or "rectangle")
            points = [as_point(p) for p in raw_points]
            good = tuple(p for p in points if p is not None)
            return (
                Shape("polygon" if kind in FOUR_CORNERS else kind, label.strip(), good)
                if good and len(good) == len(points)
                else None
            )
    return None


def _xml_shape(raw: Any) -> Shape | None:
    """`["x1", "y1", "x2", "y2", "conf", "tag"]`, all strings."""
    try:
        x1, y1, x2, y2 = (float(v) for v in raw[:4])
        label = str(raw[5]).strip()
    except (TypeError, ValueError, IndexError, KeyError):
        return None
    if not all(math.isfinite(v) for v in (x1, y1, x2, y2)):
        return None
    return Shape("rectangle", label, ((x1, y1), (x2, y2)))


_READERS = {"shapes": _shape, "xml_info": _xml_shape}
_STREAMED = (*_READERS, "size_info", "uc_list")
