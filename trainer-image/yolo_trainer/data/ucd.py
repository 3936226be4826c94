"""Read UCD data sets: one JSON file that lists images by code and holds their shapes in pixels.

Older forms too: `xml_info` in place of `shapes`, and the split files `.uci`, `.obi`, `.szi` with volumes.
Missing and null keys mean "none".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InvalidDataError
from .json_file import read_json_object
from .skipped import Skipped
from .source import Sample, Shape, Source, as_point, as_size

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
    content, files = _read_split(path)
    return ucd_source(path, content, images, skipped, files)


def ucd_source(
    path: Path,
    content: Mapping[str, Any],
    images: Path,
    skipped: Skipped,
    files: Sequence[Path] = (),
) -> Source:
    """The data set that `content`, read from `path`, describes; its images lie in the folder `images`.

    Raises InvalidDataError when it is no UCD data set.
    """
    if path.suffix == ".json" and not _KEYS & content.keys():
        raise InvalidDataError(
            f"{path} is no UCD data set: it has neither uc_list nor shapes",
            "a .json is a UCD data set (uc_list, shapes) or a COCO file (images, annotations)",
        )
    shapes = _as_dict(content.get("shapes"))
    xml_info = _as_dict(content.get("xml_info"))
    sizes = _as_dict(content.get("size_info"))
    codes = content.get("uc_list")
    if not isinstance(codes, list):
        codes = [*shapes, *(uc for uc in xml_info if uc not in shapes)]
    if not codes:
        raise InvalidDataError(f"{path} lists no image: its uc_list is empty")
    samples = []
    seen: set[str] = set()
    for code in codes:
        uc = str(code)
        if not _is_safe(uc):
            skipped.add("unsafeName", repr(uc)[:60])
        elif uc in seen:
            skipped.add("duplicateImage", uc)
        else:
            seen.add(uc)
            found = [*_shapes(shapes.get(uc), uc, skipped), *_xml_shapes(xml_info.get(uc), uc, skipped)]
            samples.append(
                Sample(
                    stem=uc,
                    folder=images,
                    endings=IMAGE_ENDINGS,
                    shapes=tuple(found),
                    size=as_size(sizes.get(uc)),
                )
            )
    why = "it has uc_list" if "uc_list" in content else "it has shapes by code"
    return Source(kind="ucd", path=path, samples=samples, files=[*(files or [path])], in_pixels=True, why=why)


def _read_split(path: Path) -> tuple[dict[str, Any], list[Path]]:
    """The old split form: NAME.uci, .obi, .szi and further volumes .u1 .o1 .s1, .u2 …"""
    content: dict[str, Any] = {**read_json_object(path), "shapes": {}, "size_info": {}}
    content["uc_list"] = _as_list(content.get("uc_list"))
    files = [path]
    for part in _parts(path):
        found = read_json_object(part)
        files.append(part)
        content["uc_list"] += _as_list(found.get("uc_list"))
        for uc, shapes in _as_dict(found.get("shapes")).items():
            content["shapes"].setdefault(uc, []).extend(_as_list(shapes))
        content["size_info"].update(_as_dict(found.get("size_info")))
    return content, files


def _parts(path: Path) -> list[Path]:
    """The files beside NAME.uci that belong to it; raises InvalidDataError when a volume is missing."""
    ends = [p.suffix for p in path.parent.iterdir() if p.stem == path.stem and is_volume(p)]
    numbers = {int(end[2:]) for end in ends if end[2:].isdigit()}
    if gaps := set(range(1, max(numbers, default=0) + 1)) - numbers:
        missing = path.with_suffix(f".u{min(gaps)}").name
        raise InvalidDataError(f"{path}: its volume {missing} is missing; there are {max(numbers)}")
    in_order = [".obi", ".szi", *(f".{kind}{n}" for n in sorted(numbers) for kind in "uos")]
    return [path.with_suffix(end) for end in in_order if end in ends]


def _as_list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list) else []


def _as_dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_safe(uc: str) -> bool:
    """Whether a code is a plain file stem: it becomes part of paths."""
    if not uc.strip() or uc.startswith(".") or len(uc.encode("utf-8", "replace")) > _NAME_MAX:
        return False
    return uc.isprintable() and not set(uc) & set("/\\")


def _shapes(value: object, uc: str, skipped: Skipped) -> list[Shape]:
    found = []
    for raw in value if isinstance(value, list) else []:
        shape = _shape(raw)
        if shape is None:
            skipped.add("otherShape", uc)
        else:
            found.append(shape)
    return found


def _shape(raw: object) -> Shape | None:
    match raw:
        case {"label": str() as label, "points": [*raw_points], **rest}:
            kind = str(rest.get("shape_type") or "rectangle")
            points = [as_point(p) for p in raw_points]
            good = tuple(p for p in points if p is not None)
            return Shape(kind, label.strip(), good) if good and len(good) == len(points) else None
    return None


def _xml_shapes(value: object, uc: str, skipped: Skipped) -> list[Shape]:
    """`[["x1", "y1", "x2", "y2", "conf", "tag"], …]`, all strings."""
    found = []
    for raw in value if isinstance(value, list) else []:
        try:
            x1, y1, x2, y2 = (float(v) for v in raw[:4])
            label = str(raw[5]).strip()
        except (TypeError, ValueError, IndexError, KeyError):
            skipped.add("otherShape", uc)
            continue
        if not all(math.isfinite(v) for v in (x1, y1, x2, y2)):
            skipped.add("otherShape", uc)
            continue
        found.append(Shape("rectangle", label, ((x1, y1), (x2, y2))))
    return found
