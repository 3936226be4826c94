"""Read UCD data sets: one JSON file that lists images by code and holds their shapes in pixels.

Older forms too: `xml_info` in place of `shapes`, and the split files `.uci`, `.obi`, `.szi` with volumes.
Missing and null keys mean "none".
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yolo_crds.layout import DataVolume

from .errors import InvalidDataError, volume_errors
from .skipped import Skipped
from .source import Sample, Shape, Source

IMAGE_ENDINGS = (".jpg", ".JPG", ".png", ".PNG")
"""In the order in which `img_cache` is searched."""
SUFFIXES = frozenset({".json", ".uci"})
_NAME_MAX = 200  # bytes; leaves room for endings within the 255 of a file name


def open_ucd(path: Path, volume: DataVolume, skipped: Skipped) -> Source:
    """The data set in `path` (.json or .uci) with its images in the volume's `img_cache`.

    Raises InvalidDataError when the file is no UCD data set.
    """
    if path.suffix == ".uci":
        content, files = _read_split(path)
    else:
        content, files = _read_json(path), [path]
    shapes = _as_dict(content.get("shapes"))
    xml_info = _as_dict(content.get("xml_info"))
    sizes = _as_dict(content.get("size_info"))
    codes = content.get("uc_list")
    if not isinstance(codes, list):
        codes = [*shapes, *(uc for uc in xml_info if uc not in shapes)]
    if not codes:
        raise InvalidDataError(f"{path} lists no image: its uc_list is empty")
    images = volume.images
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
                    size=_size(sizes.get(uc)),
                )
            )
    return Source(kind="ucd", path=path, samples=samples, files=files)


def labels_of(source: Source) -> list[str]:
    """The labels that occur in a data set, the most frequent first."""
    counts: dict[str, int] = {}
    for sample in source.samples:
        for shape in sample.shapes:
            counts[shape.label] = counts.get(shape.label, 0) + 1
    return sorted(counts, key=lambda label: (-counts[label], label))


def _read_json(path: Path) -> dict[str, Any]:
    with volume_errors(path, "read"):
        raw = path.read_bytes()
    try:
        content = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InvalidDataError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise InvalidDataError(f"{path} is no UCD data set: a JSON {type(content).__name__}, not an object")
    if path.suffix == ".json" and not {"uc_list", "shapes", "xml_info"} & content.keys():
        raise InvalidDataError(f"{path} is no UCD data set: it has neither uc_list nor shapes")
    return content


def _read_split(path: Path) -> tuple[dict[str, Any], list[Path]]:
    """The old split form: NAME.uci, .obi, .szi and further volumes .u1 .o1 .s1, .u2 …"""
    content = {**_read_json(path), "shapes": {}, "size_info": {}}
    content["uc_list"] = list(content.get("uc_list") or [])
    files = [path]
    for volume_number in range(1000):
        endings = (
            (".uci", ".obi", ".szi") if not volume_number else tuple(f".{k}{volume_number}" for k in "uos")
        )
        parts = [path.with_suffix(ending) for ending in endings]
        if not any(part.exists() for part in parts):
            break
        for part in parts:
            if part == path or not part.exists():
                continue
            found = _read_json(part)
            files.append(part)
            content["uc_list"] += found.get("uc_list") or []
            content["shapes"].update(_as_dict(found.get("shapes")))
            content["size_info"].update(_as_dict(found.get("size_info")))
    return content, files


def _as_dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_safe(uc: str) -> bool:
    """Whether a code is a plain file stem: it becomes part of paths."""
    if not uc.strip() or uc.startswith(".") or len(uc.encode("utf-8", "replace")) > _NAME_MAX:
        return False
    return uc.isprintable() and not set(uc) & set("/\\")


def _size(value: object) -> tuple[float, float] | None:
    match value:
        case [int() | float() as width, int() | float() as height] if width > 0 and height > 0:
            return float(width), float(height)
    return None  # [-1, -1] or missing: the image's header says it


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
            points = [_point(p) for p in raw_points]
            good = tuple(p for p in points if p is not None)
            return Shape(kind, label.strip(), good) if good and len(good) == len(points) else None
    return None


def _point(raw: object) -> tuple[float, float] | None:
    match raw:
        case [int() | float() as x, int() | float() as y] if math.isfinite(x) and math.isfinite(y):
            return float(x), float(y)
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
