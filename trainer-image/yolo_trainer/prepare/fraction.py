"""What Ultralytics' `fraction` leaves of a prepared set: the first images by name, no random part."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from yolo_crds.arguments import parse_value
from yolo_crds.training import Template

from ..data.manifest import Details
from ..errors import InvalidArgumentsError

_SHOWN = 10


def fraction_warnings(template: Template, folder: Path, details: Details) -> list[str]:
    """A warning for a `fraction` below 1: how many training images it leaves, and the classes that it loses.

    Ultralytics sorts the paths of the images and takes `round(fraction · images)` from the front, for
    classification in order of the classes' folders; validation images are not cut. Raises
    InvalidArgumentsError where none is left.
    """
    given = parse_value(template.extra_args.get("fraction", "1"))
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given < 1:
        return []
    images = sorted(path for path in _training_images(folder, is_classification=not details.data_yaml))
    kept = images[: round(len(images) * given)]
    if not kept:
        raise InvalidArgumentsError(
            f"template.extraArgs.fraction: {given:g} leaves none of {len(images)} training images",
            f"want at least {1 / len(images):.2g}, or leave fraction out",
        )
    sentence = f"fraction {given:g} trains on the first {len(kept)} of {len(images)} images in order of names"
    if (folder / "masks").is_dir():
        return [f"{sentence}, not on a random part: classes that come late in it are lost"]
    names = list(details.dataset.classes)
    wanted = {name for name, boxes in details.boxes_by_split.get("train", {}).items() if boxes}
    left = wanted - _classes_of(kept, names, wanted)
    if not left:
        return [f"{sentence}, not on a random part; each class is in it"]
    lost = [name for name in names if name in left]
    more = " …" if len(lost) > _SHOWN else ""
    return [
        f"{sentence}: of {len(wanted)} classes {len(lost)} are not in it ({', '.join(lost[:_SHOWN])}{more}); "
        "name a smaller data set, or train with fewer epochs"
    ]


def _training_images(folder: Path, *, is_classification: bool) -> Iterator[str]:
    pattern = "train/*/*" if is_classification else "images/train/*"
    return (str(path) for path in folder.glob(pattern))


def _classes_of(images: list[str], names: list[str], wanted: set[str]) -> set[str]:
    """The classes of boxes or folders of the images; it ends where all that are wanted are found."""
    found: set[str] = set()
    for image in map(Path, images):
        if wanted <= found:
            break
        if image.parent.parent.name == "train":
            found.add(image.parent.name)
            continue
        label = image.parents[2] / "labels" / "train" / f"{image.stem}.txt"
        found.update(names[int(line.split(" ", 1)[0])] for line in label.read_text().splitlines())
    return found
