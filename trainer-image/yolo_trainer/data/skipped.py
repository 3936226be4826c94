"""What a data set's preparation left out or mended: counted, with the first few names of each kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

NAMES_KEPT = 5
NAMES_SHOWN = 3


@dataclass
class Skipped:
    """Counts by kind, such as `missingImage`; `unknown` counts boxes by the label that is not listed."""

    counts: Counter[str] = field(default_factory=Counter)
    names: dict[str, list[str]] = field(default_factory=dict)
    unknown: Counter[str] = field(default_factory=Counter)
    unused: set[str] = field(default_factory=set)
    """Listed classes of which a label could not be used."""

    def add(self, kind: str, name: str) -> None:
        """Counts one thing of a kind, named for a person."""
        self.counts[kind] += 1
        kept = self.names.setdefault(kind, [])
        if len(kept) < NAMES_KEPT and name not in kept:
            kept.append(name)

    def add_unknown(self, label: str) -> None:
        """Counts one box whose label is not among the listed ones."""
        self.counts["unknownLabel"] += 1
        self.unknown[label] += 1

    def rename(self, stem: str, path: str) -> None:
        """Names an image by its path where it is named by its stem, alone or with more in brackets."""
        for kept in self.names.values():
            kept[:] = [
                path + name.removeprefix(stem) if name == stem or name.startswith(f"{stem} (") else name
                for name in kept
            ]

    def reword(self, change: Callable[[str], str]) -> None:
        """Changes every name."""
        for kept in self.names.values():
            kept[:] = map(change, kept)

    def merge(self, other: Skipped) -> None:
        """Counts what was counted elsewhere."""
        self.counts += other.counts
        self.unknown += other.unknown
        self.unused |= other.unused
        for kind, names in other.names.items():
            kept = self.names.setdefault(kind, [])
            kept += [name for name in names if name not in kept][: NAMES_KEPT - len(kept)]

    def sentences(self) -> list[str]:
        """One sentence a kind, for the log and the warnings."""
        lines = []
        for kind, count in sorted(self.counts.items()):
            if kind == "unknownLabel":
                top = ", ".join(f"{label} {n}" for label, n in self.unknown.most_common(NAMES_SHOWN))
                more = " …" if len(self.unknown) > NAMES_SHOWN else ""
            else:
                top = ", ".join(self.names[kind][:NAMES_SHOWN])
                more = " …" if count > NAMES_SHOWN else ""
            lines.append(f"{_WORDS.get(kind, kind)}: {count} ({top}{more})")
        return lines

    def reasons(self) -> list[str]:
        """What is wrong with labels that were left out, but for a label that is not listed; each with the
        first."""
        kinds = (kind for kind in sorted(self.names) if _LEFT_OUT in _WORDS.get(kind, ""))
        return [f"{_WORDS[kind].replace(_LEFT_OUT, '')}: {self.names[kind][0]}" for kind in kinds]


_LEFT_OUT = " left out,"
_WORDS = {
    "unknownLabel": "boxes left out, label not listed",
    "missingImage": "images left out, file missing",
    "oversizedImage": "images left out, larger than the installer lets be fetched",
    "notAnImage": "images left out, the UCD server sent something else",
    "noFile": "images left out, a folder, pipe or device of that name",
    "missingMask": "images left out, mask missing",
    "corruptMask": "images left out, mask corrupt",
    "ignoredClass": "masks with a class that is not listed, its pixels do not count",
    "corruptImage": "images left out, file corrupt or not taken by Ultralytics",
    "outsideVolume": "images left out, path or link leads out of the data volume or image",
    "foreignPath": "images left out, path of another machine that ends as no file of the data set does",
    "matchedPath": "paths of another machine, taken for the one file that ends as they do",
    "elsewhere": "images outside of the data set's own folder, taken",
    "unreadMask": "images left out, labelled by masks of Pascal VOC alone, which are not read",
    "unlistedImage": "images left out, not in the lists of ImageSets that are followed",
    "listedMissing": "names in lists of ImageSets without an image",
    "unsafeName": "images left out, name is no file name",
    "duplicateImage": "images named twice, taken once",
    "mergedImage": "images named twice by the data set, the labels of both taken",
    "differingTwin": "images named twice with different labels, those of the first taken",
    "duplicateBox": "boxes given twice, taken once",
    "restoredImage": "images copied and completed, end marker missing",
    "clipped": "boxes cut at the image's edge",
    "keypointOutside": "keypoints outside of the image, drawn to its edge",
    "outside": "boxes left out, outside of the image",
    "noSize": "boxes left out, without width or height",
    "brokenShape": "shapes left out, without a label or without points of two numbers each",
    "otherShape": "shapes left out, of a kind that the task does not take",
    "turnedBox": "boxes taken turned, as `attributes.rotation` says (degrees, clockwise about the centre)",
    "unreadRotation": "boxes taken upright, their `attributes.rotation` is no number",
    "unknownAngle": "boxes taken upright, it is not known how their angle is meant",
    "joinedShape": "shapes of one label and group, taken as parts of one object",
    "scaledMask": "run-length masks of another size than their image, scaled to it",
    "shortOutline": "parts of outlines left out, fewer than three points",
    "sizeMismatch": "images of another size than their labels count in, at the same scale in both directions",
    "notPixels": "labels left out, no coordinate of their image is above 1: they are no pixels",
    "otherSize": "labels left out, in a size that is not the image's",
    "turnedLabels": "images turned by their EXIF tag, labelled as they are stored: labels turned with them",
    "uprightLabels": "images turned by their EXIF tag, labels in the stored size whose boxes fit the upright "
    "image alone, taken as upright",
    "frameUntold": "images turned by their EXIF tag, their labels' frame cannot be told, taken as upright",
    "swappedSize": "images whose labels give width and height the other way round, boxes taken as they are",
    "markedOnly": "images left out, all that is labelled in them is marked difficult or a crowd",
    "lostLabels": "images left out, none of their labels can be used",
    "lostAsBackground": "images taken as background though they have labels, none of which can be used",
    "crowd": "annotations left out, they mark a crowd (iscrowd: 1)",
    "furtherBox": "further boxes of one object left out, the first is taken",
    "swappedCorners": "boxes whose corners are given the other way round, taken as the box between them",
    "deleted": "labels left out, marked deleted",
    "objectPart": "parts of objects left out (`<part>` in an `<object>`)",
    "takenCrowd": "annotations that mark a crowd (iscrowd: 1), taken as objects as template.data.crowd says",
    "difficult": "boxes left out, marked difficult",
    "difficultKept": "boxes marked difficult (DOTA), trained on like the others",
    "strayLabel": "labels left out, their image is not in the data set",
    "furtherLabels": "label files left out, their image has another one",
    "noKeypoints": "boxes without keypoints, trained on with none visible",
    "emptyLabelFile": "images with an empty label file, taken as background; Datumaro's Darknet has one "
    "also for images of polygons or masks alone",
    "noLabelFile": "images without a label file, taken as background",
    "trackId": "rows whose last number was taken off, the id of a track (CVAT's Track exports)",
    "boxAsPolygon": "boxes taken as polygons of four corners",
    "polygonAsBox": "polygons taken as the smallest turned boxes around them",
}
