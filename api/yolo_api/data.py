"""Quick looks at the data volume, so that a mistake in a request is told at once.

They are advice: the prepare stage looks again, and is the authority. Without the volume nothing is checked.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path, PurePosixPath

from yolo_crds.arguments import check_model
from yolo_crds.layout import DataVolume
from yolo_crds.models import checkpoint_files, is_architecture, package_architecture, suggest_model
from yolo_crds.references import is_url, shown
from yolo_crds.schema import nearest
from yolo_crds.trainer import Fetch

from .errors import InvalidFieldsError, explain_volume
from .volume_files import open_file

MAX_LABELS = 1000
MAX_LABEL_LENGTH = 128
"""As in `spec.template.data.labels`."""
_STRUCTURED = frozenset({".yaml", ".yml", ".json", ".csv", ".xml"})
_LABEL_FILES = _STRUCTURED | {".txt", ".names"}
"""Endings by which a text without a folder is known as a file's name."""
_LISTED_MAX = 10_000
"""So many entries of a folder are looked at for what was meant."""
_LABELS_MAX_BYTES = 1 << 20
_NONE = ("", "none")


class DataAdvice:
    """Checks of the fields that name something on the data volume. Blocking: for a worker thread."""

    def __init__(self, root: Path, fetch: Fetch | None = None) -> None:
        self._volume = DataVolume(root)
        self._fetch = fetch or Fetch()

    def read_labels(self, labels: str | Sequence[str]) -> list[str]:
        """The class names that `labels` lists or, as the path of a text file, points at.

        Raises InvalidFieldsError for a file that is not there, and for names that are empty or given twice.
        """
        if not isinstance(labels, str):
            return check_labels(labels)
        if not _is_path(labels):
            return check_labels(labels.split(","))
        reference = labels.strip()
        try:
            path = self._beneath(reference)
            with open_file(path, self._volume.root) as file:
                lines = file.read(_LABELS_MAX_BYTES).decode("utf-8-sig").splitlines()
        except FileNotFoundError:
            text = f"{reference!r} was not found; looked for {self._volume.root / _to_posix(reference)}"
            like = self._like(reference, [reference])
            text += f"; did you mean {like!r}? " if like else ". "
            text += "A class of such a name is given in a list"
        except UnicodeDecodeError:
            text = f"{reference!r} is no text file in UTF-8"
        except (OSError, ValueError) as error:
            text = f"{reference!r} cannot be read: {explain_volume(error) or error}"
        else:
            if PurePosixPath(path).suffix.lower() in _STRUCTURED:
                text = (
                    f"{reference!r} is no text file with one name a line; give that, or the names themselves"
                )
            else:
                return check_labels(lines)
        raise InvalidFieldsError([("labels", text)])

    def check_data(self, field: str, reference: str) -> list[tuple[str, str]]:
        """What is wrong with `train_ucd` or `val_ucd`: nothing, or that it is not there nor to be fetched."""
        if field == "val_ucd" and is_none(reference):
            return []
        if is_url(url := reference.strip()):
            return self._check_url(field, url)
        tried = self._volume.places(reference)
        try:
            if any(self._beneath(one).exists() for one in tried) or not self._volume.root.is_dir():
                return []
        except (OSError, ValueError) as error:
            return [(field, explain_volume(error) or str(error))]
        if self._fetch.ucd_server and not reference.startswith("/"):
            return []  # the UCD server may have it
        looked = ", ".join(str(self._volume.root / one) for one in tried)
        text = f"{reference!r} was not found on the data volume; looked for {looked}"
        if like := self._like(reference, tried):
            text += f"; did you mean {like!r}?"
        return [(field, text)]

    def _like(self, reference: str, tried: Sequence[str]) -> str | None:
        """What lies in one of the folders where a reference was looked for, and has almost its name; as it
        has to be written to be found.
        """
        given = PurePosixPath(_to_posix(reference).rstrip("/"))
        names: set[str] = set()
        for folder in {PurePosixPath(place).parent for place in tried}:
            with suppress(OSError, ValueError), os.scandir(self._beneath(str(folder))) as entries:
                names.update(entry.name for entry in islice(entries, _LISTED_MAX))
        known = {name if given.suffix else name.removesuffix(".json").removesuffix(".uci") for name in names}
        known = {name for name in known if not name.startswith(".")} - {
            "ucd",
            "datasets",
            "weights",
            "prepared",
        }
        like = nearest(given.name, known)
        return str(given.with_name(like)) if like else None

    def _check_url(self, field: str, url: str) -> list[tuple[str, str]]:
        """Whether prepare may fetch a URL, whose secrets are not shown."""
        if not self._fetch.archives:
            text = f"{shown(url)!r} is not fetched here; the chart's fetch.archives.enabled allows it"
        elif not url.startswith("https://"):
            text = f"{shown(url)!r} is not fetched; give an https:// URL"
        else:
            return []
        return [(field, text)]

    def check_weights(self, field: str, model: str) -> list[tuple[str, str]]:
        """What is wrong with a model's name: nothing, that it is unknown, or that its file is missing."""
        problems = [(field, problem.message) for problem in check_model(model, prefix="")]
        if problems or not self._volume.root.is_dir():
            return problems
        weights = self._volume.weights
        if is_architecture(model):
            if package_architecture(model) or (weights / model).is_file():
                return []
            text = f"{model!r} is neither known to Ultralytics nor in {weights}"
        else:
            names = checkpoint_files(model)
            if any((weights / name).is_file() for name in names):
                return []
            text = f"the pretrained weights {names[0]} are not in {weights}; put them there"
            scratch = f"{PurePosixPath(model).name.removesuffix('.pt')}.yaml"
            if package_architecture(scratch):
                text += f", or train from scratch with {scratch}"
        if like := suggest_model(model):
            text += f"; did you mean {PurePosixPath(like).stem!r}?"
        return [(field, text)]

    def _beneath(self, reference: str) -> Path:
        """The path that a reference means, links resolved. Raises ValueError when it leads elsewhere."""
        if "\0" in reference:
            raise ValueError(f"{reference!r} is no path: it contains a NUL character")
        root = self._volume.root.resolve()
        path = root.joinpath(_to_posix(reference)).resolve()
        if ".." in PurePosixPath(_to_posix(reference)).parts or not path.is_relative_to(root):
            raise ValueError(f"{reference!r} is not below the data volume; give a path relative to its root")
        return path


def _is_path(labels: str) -> bool:
    """Whether `labels` names a file rather than classes."""
    text = labels.strip()
    return "," not in text and (
        "/" in text or "\\" in text or PurePosixPath(text).suffix.lower() in _LABEL_FILES
    )


def is_none(val_ucd: str) -> bool:
    """Whether a `val_ucd` asks for a part of the training set."""
    return val_ucd.strip().lower() in _NONE


def check_labels(names: Iterable[str]) -> list[str]:
    """The class names without blanks around them; empty ones at the end are dropped.

    Raises InvalidFieldsError: an empty or double name would leave a class index without a meaning.
    """
    stripped = [name.strip() for name in names]
    while stripped and not stripped[-1]:
        stripped.pop()
    if not stripped:
        raise InvalidFieldsError([("labels", "names no class; give class names joined by ','")])
    if len(stripped) > MAX_LABELS:
        raise InvalidFieldsError([("labels", f"names {len(stripped)} classes; at most {MAX_LABELS}")])
    if too_long := next((name for name in stripped if len(name) > MAX_LABEL_LENGTH), None):
        text = f"{too_long[:40]!r}... is too long for a class name; at most {MAX_LABEL_LENGTH} characters"
        raise InvalidFieldsError([("labels", text)])
    if "" in stripped:
        text = f"name {stripped.index('') + 1} of {len(stripped)} is empty; give every class index a name"
        raise InvalidFieldsError([("labels", text)])
    twice = sorted({name for name in stripped if stripped.count(name) > 1})
    if twice:
        raise InvalidFieldsError([("labels", f"{twice[0]!r} is given twice; each class name has one index")])
    return stripped


def _to_posix(reference: str) -> str:
    """Old clients on Windows send `\\` between folders."""
    return reference.strip().replace("\\", "/")
