"""Is a file a checkpoint that Ultralytics can train on? If not, what is it, and what would be right?

Looked at, never loaded: the pickle within is read opcode by opcode for the classes that it names, none of
which is imported. Unpickling is for the train stage and its safe loader.
"""

from __future__ import annotations

import pickletools
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from ..errors import InvalidArgumentsError, LegacyCheckpointError, volume_errors

_HEAD_BYTES = 4096
PICKLE_BYTES = 64 << 20
"""As much of a pickle is read: it holds names and numbers, and tensors lie beside it."""
# Classes of the YOLOv5 repository as torch pickles name them; those of YOLOv7 and YOLOv9 are called the same.
_V5_MODULES = frozenset({"models.yolo", "models.common", "models.experimental"})
_V5_GLOBAL = re.compile(rb"cmodels\.(?:yolo|common|experimental)\n")
_MODELS = "ultralytics.nn.tasks"
_OPEN_VOCABULARY = frozenset({"WorldModel", "YOLOEModel", "YOLOESegModel"})
_LOADED = re.compile(
    r"(?:torch|torchvision|numpy|collections|builtins|__builtin__|pathlib|_codecs|copyreg|copy_reg|enum|functools)"
    r"(?:\..*)?\Z"
    r"|ultralytics\.nn\.(?:tasks|distill_model|modules(?:\.\w+)?)\Z"
    r"|ultralytics\.(?:yolo\.)?utils(?:\.loss|\.tal)?\Z"
)
"""Modules of what Ultralytics 8.4 loads safely (nn/tasks.py, `_SafeLoad`), and what torch does by itself."""

_WANTED = (
    "want a .pt that Ultralytics published or saved itself, such as yolo11n.pt or the best.pt of a training"
)
OPEN_VOCABULARY_HINT = "train a model of fixed classes, such as yolo11s.pt or yolo11s-seg.pt"

_TEXTS = (
    (
        re.compile(rb"version https://git-lfs"),
        "a pointer of Git LFS, not the file that it stands for",
        "fetch the file itself: git lfs pull",
    ),
    (
        re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|head|\?xml)", re.IGNORECASE),
        "a web page or other XML, such as a download sends in place of a file",
        "download the file again, and look at what comes",
    ),
)
_FORMATS = (
    (
        re.compile(rb"\x08[\x01-\x20](?:\x12.{1,64}|\x3a|\x42)", re.DOTALL),
        "an exported model (ONNX, CoreML or TensorFlow)",
    ),
    (re.compile(rb"\x89HDF\r\n"), "a model of Keras (HDF5)"),
    (re.compile(rb".{4}TFL3", re.DOTALL), "a model of TensorFlow Lite"),
    (re.compile(rb"ftrt|.{2}\x00\x00\{\"", re.DOTALL), "an engine of TensorRT"),
    (re.compile(rb".{8}\{\s*\"", re.DOTALL), "a file of safetensors: weights by name, without a model"),
    (
        re.compile(rb"[\x00-\x02]\x00\x00\x00[\x00-\x0a]\x00\x00\x00[\x00-\x0a]\x00\x00\x00"),
        "weights of Darknet",
    ),
    (re.compile(rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!|.{257}ustar", re.DOTALL), "an archive"),
    (re.compile(rb"\x80[\x02-\x05]"), "a pickle of Python that torch.save has not written"),
)
"""By how files of a kind begin."""
_OLD_TORCH = re.compile(rb"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19\.")
"""How torch.save began before release 1.6: its magic number (torch/serialization.py)."""


def check_checkpoint(path: Path) -> None:
    """Raises InvalidArgumentsError, saying what the file is, unless it looks like a checkpoint that
    Ultralytics can train on without the network; LegacyCheckpointError for one of the YOLOv5 repository.
    """
    pickled = read_pickle(path)
    try:
        named = set(_globals(pickled))
    except Exception as error:  # pickletools raises nearly anything on bad bytes
        raise _torn(path, error) from error
    _check_classes(path, named)


def read_pickle(path: Path) -> bytes:
    """The pickle within a checkpoint, unread. Raises as `check_checkpoint` for a file that has none."""
    with volume_errors(path, "read"), path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head.startswith(b"PK"):
        raise _no_zip(path, head)
    try:
        with volume_errors(path, "read"), zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            member = next((name for name in names if name.endswith("/data.pkl")), None)
            if member is None:
                raise _refuse(path, "a zip archive that holds no data.pkl, as PyTorch's have")
            if any("/code/" in name or name.endswith("/constants.pkl") for name in names):
                raise _refuse(
                    path,
                    "a TorchScript export",
                    "name the .pt that it was exported from: an export is not trained on",
                )
            with archive.open(member) as file:
                return file.read(PICKLE_BYTES)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise _torn(path, error) from error


def _check_classes(path: Path, named: set[tuple[str, str]]) -> None:
    """Judges a checkpoint by the classes that its pickle names, each with its module."""
    if any(module in _V5_MODULES for module, _ in named):
        raise _legacy(path)
    foreign = sorted(f"{module}.{name}" for module, name in named if not _LOADED.match(module))
    models = {name for module, name in named if module == _MODELS}
    if not models and foreign:
        raise _refuse(path, f"a checkpoint of another program: its classes are {', '.join(foreign[:3])}")
    if not models and any(module.startswith("ultralytics.") for module, _ in named):
        raise _refuse(
            path,
            "layers of a model of Ultralytics, without the model",
            "save it whole: model.save('mine.pt')",
        )
    if not models:
        raise _refuse(
            path,
            "a state dict (weights by name, without a model)",
            f"{_WANTED}; or load these weights into such a model and save it: model.save('mine.pt')",
        )
    if models & _OPEN_VOCABULARY:
        raise InvalidArgumentsError(
            f"{path} is an open-vocabulary model ({', '.join(sorted(models & _OPEN_VOCABULARY))}): "
            "Ultralytics trains it with a text encoder from the network, which trainings do not reach",
            OPEN_VOCABULARY_HINT,
        )
    if foreign:
        raise _refuse(
            path,
            f"a checkpoint with classes that Ultralytics does not load: {', '.join(foreign[:3])}",
            "save it with model.save() of the official ultralytics package: a checkpoint that names other "
            "classes could run code when it is loaded",
        )


def _globals(pickled: bytes) -> Iterator[tuple[str, str]]:
    """Module and name of everything that a pickle would look up; strings are followed, nothing is run."""
    strings: list[str] = []
    memo: dict[int, str | None] = {}
    last: str | None = None
    for op, argument, _place in pickletools.genops(pickled):
        if op.name == "MEMOIZE":
            memo[len(memo)] = last
            continue
        if op.name.endswith("PUT"):
            memo[int(str(argument))] = last
            continue
        if op.name == "GLOBAL":
            module, _blank, name = str(argument).partition(" ")
            yield module, name
        elif op.name == "STACK_GLOBAL" and len(strings) == 2:
            yield strings[0], strings[1]
        last = None
        if op.name.endswith("GET"):
            last = memo.get(int(str(argument)))
        elif "UNICODE" in op.name:
            last = str(argument)
        if last is not None:
            strings = [*strings[-1:], last]


def _no_zip(path: Path, head: bytes) -> Exception:
    """The error for a file that is no zip archive, as checkpoints of PyTorch have been since release 1.6."""
    if not head:
        return _refuse(path, "empty (0 bytes)", "copy or download it again; is the volume full?")
    for pattern, what, hint in _TEXTS:
        if pattern.match(head):
            return _refuse(path, what, hint)
    if _OLD_TORCH.match(head):
        with volume_errors(path, "read"), path.open("rb") as file:
            if _V5_GLOBAL.search(file.read(PICKLE_BYTES)):
                return _legacy(path)
        return _refuse(
            path,
            "a file of PyTorch before 1.6, which is not read here",
            f"load it with a newer PyTorch and save it again; {_WANTED}",
        )
    known = next((name for pattern, name in _FORMATS if pattern.match(head)), None)
    if known is None:
        shown = ascii(head[:12].decode("latin-1"))
        return _refuse(path, f"of no known kind: it begins with {shown}")
    return _refuse(path, known, f"{_WANTED}; exports are not trained on")


def _legacy(path: Path) -> LegacyCheckpointError:
    return LegacyCheckpointError(
        f"{path} is a checkpoint of the YOLOv5 repository, which Ultralytics cannot load",
        "use Ultralytics' own weights, such as yolov5su.pt for yolov5s",
    )


def _torn(path: Path, error: Exception) -> InvalidArgumentsError:
    what = (
        f"torn: its copy or download stopped early, or bytes in it changed ({error or type(error).__name__})"
    )
    return _refuse(path, what, "copy or download it again, and compare its size")


def _refuse(path: Path, what: str, hint: str = _WANTED) -> InvalidArgumentsError:
    return InvalidArgumentsError(f"{path} is no PyTorch checkpoint of Ultralytics but {what}", hint)
