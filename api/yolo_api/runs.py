"""The run volume: folders, checkpoints, and their removal. Blocking: for a worker thread."""

import contextlib
import logging
import shutil
from pathlib import Path
from typing import BinaryIO

from yolo_crds.layout import RunFolder

from .errors import ConflictError, MissingFileError, explain_volume
from .logs import read_error_lines, read_lines
from .volume_files import open_file

logger = logging.getLogger(__name__)

CHECKPOINTS = ("last.pt", "best.pt")
_TRASH = ".trash"
_FILE_NAME_MAX = 255


class RunVolume:
    """All run folders below one root. A model name is a single path component (see `is_component`)."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, model: str) -> RunFolder:
        return RunFolder(model, self._root)

    def names(self, kind: str) -> list[str]:
        """The models that have a folder below `train` or `train_info`."""
        try:
            found = list((self._root / kind).iterdir())
        except FileNotFoundError:
            return []
        return sorted(path.name for path in found if path.is_dir() and not path.name.startswith("."))

    def is_trained(self, model: str) -> bool:
        """Whether the model has a run folder."""
        return self.folder(model).train.is_dir()

    def is_known(self, model: str) -> bool:
        """Whether anything of the model is on the volume."""
        folder = self.folder(model)
        return folder.train.is_dir() or folder.info.is_dir()

    def read_arguments(self, model: str) -> list[str] | None:
        """The lines of `opt.yaml` (YOLOv5's) or else `args.yaml` (Ultralytics'); None without either.

        An older server's `opt.yaml` stays where its folder was trained in anew, and says nothing of that.
        """
        folder = self.folder(model)
        names = ["opt.yaml", "args.yaml"]
        if (folder.adopted / names[0]).exists():
            names.reverse()
        found = (read_lines(folder.train / name, self._root) for name in names)
        return next((lines for lines in found if lines is not None), None)

    def read_log(self, model: str) -> list[str] | None:
        """The lines of the training's output, as `read_lines`."""
        return read_lines(self.folder(model).std_log, self._root)

    def read_errors(self, model: str) -> list[str] | None:
        """The last lines of its errors, as `read_error_lines`."""
        return read_error_lines(self.folder(model).err_log, self._root)

    def open_checkpoint(self, model: str, name: str) -> BinaryIO:
        """A checkpoint, opened: publishing a newer one does not change what is read.

        Raises MissingFileError for other files, for a missing one, and for a link that leads elsewhere.
        """
        if name not in CHECKPOINTS:
            raise MissingFileError(f"{name!r} is no checkpoint; there are {' and '.join(CHECKPOINTS)}")
        folder = self.folder(model)
        known = folder.train.exists() or folder.info.exists()
        missing = MissingFileError(
            f"{model!r} has no weights/{name} yet" if known else f"there is no run folder of {model!r}"
        )
        try:
            return open_file(folder.weights / name, self._root)
        except FileNotFoundError:
            raise missing from None

    def discard(self, model: str, uid: str) -> bool:
        """Moves the model's folders out of the way, so that its name is free; False when there is none.

        Raises ConflictError when the volume does not allow it.
        """
        folder = self.folder(model)
        trash = self._root / _TRASH
        moved = False
        for kind, path in (("train", folder.train), ("info", folder.info)):
            if path.is_symlink() or path.exists():
                try:
                    trash.mkdir(parents=True, exist_ok=True)
                    # Straight into the trash: a folder made for it there could be collected before it comes.
                    path.rename(_unused(trash / f"{uid}-{kind}"))
                except FileNotFoundError:  # somebody else cleared it meanwhile
                    continue
                except OSError as error:
                    told = explain_volume(error) or error.strerror
                    raise ConflictError(f"{path} cannot be removed: {told}") from error
                moved = True
        return moved

    def collect(self) -> None:
        """Deletes what was discarded, by this process or an earlier one."""
        trash = self._root / _TRASH
        if not trash.is_dir():
            return
        for path in trash.iterdir():
            if path.is_symlink() or path.is_file():  # what somebody had in place of a run folder
                with contextlib.suppress(OSError):
                    path.unlink()
            shutil.rmtree(path, ignore_errors=True)  # another replica may be at it too
            if path.is_symlink() or path.exists():
                logger.warning("cannot delete", extra={"path": str(path)})


def is_component(name: str) -> bool:
    """Whether a name from outside is a plain name in a folder. Adopted folders may have names that are not
    allowed for new models.
    """
    is_plain = not name.startswith(".") and not any(c in "/\\" or ord(c) < 32 for c in name)
    return is_plain and 0 < len(name.encode("utf-8", "replace")) <= _FILE_NAME_MAX


def _unused(path: Path) -> Path:
    """The path or, where something is there already, one beside it."""
    number = 0
    while path.exists():
        number += 1
        path = path.with_name(f"{path.name.partition('~')[0]}~{number}")
    return path
