"""Which folder or file a path of a data.yaml means: as it stands first, and never out of the data volume."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from yolo_crds.layout import DataVolume

from ...errors import InvalidDataError
from ..image_finder import is_absolute

_SHOWN = 3
_UP = "../"
_HINT = "write paths relative to the file that they stand in, as images/train"

_IMAGES_HINT = "put the images onto the data volume; `download:` is never followed"


class YamlPlaces:
    """Finds what the paths of one data.yaml mean; what was not taken as it stands is told in `warnings`.

    A path counts from the data set's folder (`path:`, else the file's own), from the file's own folder, from
    the volume and from `datasets/`. One that begins with `../` and leads to nothing loses that beginning:
    Roboflow writes `../train/images` beside the file and means `train/images`, as Ultralytics knows.
    """

    def __init__(self, path: Path, volume: DataVolume, warnings: list[str]) -> None:
        self._path, self._warnings = path, warnings
        self.root = volume.root.resolve()
        """Of the volume."""
        self._wide = (volume.root, volume.datasets)
        self._matched: dict[Path, str] = {}
        self._told: set[str] = set()
        self.folder = path.parent
        """That entries are relative to."""

    def enter(self, named: object, entries: Iterable[str]) -> None:
        """Follows `path:`; where it leads to nothing, the file's own folder stays. `entries` would be looked
        for there: a path of another machine is not followed to a namesake while they are here.

        Raises InvalidDataError when it leads out of the volume.
        """
        if named in (None, ""):
            return
        place = f"{self._path}: `path:`"
        if not isinstance(named, str):
            raise InvalidDataError(f"{place} is no text", "put it into quotes")
        own = self._path.parent
        if is_absolute(_plain(named)):
            are_here = any(self._first(self._written(entry, [own])) for entry in entries)
            found = self._absolute(named, [own, *self._wide], place, may_match=not are_here)
        else:
            candidates = list(self._written(named, [own, *self._wide]))
            found = self._first(candidates, folders=True)
            if not found and not candidates[0]:
                raise InvalidDataError(f"{place} {named!r} leads out of the data volume", _HINT)
        if found and found.is_dir():
            self.folder = found
        else:
            # FiftyOne and others write where the export lay on the machine that made it.
            self._warnings.append(
                f"{self._path.name}: `path: {named}` is not on the data volume; "
                "the file's own folder is taken"
            )

    def find(self, item: str, place: str, hint: str = _IMAGES_HINT) -> Path:
        """The folder or file that an entry means; `place` names it in messages, `hint` says what helps when
        it is not there.

        Raises InvalidDataError when it is not there or not on the volume.
        """
        bases = [*dict.fromkeys((self.folder, self._path.parent)), *self._wide]
        if is_absolute(_plain(item)):
            if found := self._absolute(item, bases, place):
                return found
            raise InvalidDataError(
                f"{place} {item!r} is not below the data volume, and nothing there ends as it does", _HINT
            )
        candidates = list(self._written(item, bases))
        if found := self._first(candidates):
            return found
        if not any(candidates):
            raise InvalidDataError(f"{place} {item!r} leads out of the data volume", _HINT)
        looked = ", ".join(dict.fromkeys(self._shown(one) for one in candidates if one))
        out = "" if candidates[0] else "leads out of the data volume as it stands and "
        raise InvalidDataError(
            f"{place} {item!r} {out}is not there; looked for {looked}",
            _HINT if out else hint,
        )

    def _written(self, item: str, bases: Sequence[Path]) -> Iterator[Path | None]:
        """Where a relative path may lead, best first; None for what is outside of the volume."""
        near, far = [b for b in bases if b not in self._wide], [b for b in bases if b in self._wide]
        for some in (near, far):
            text = str(_plain(item))
            yield from (self._inside(base / text) for base in some)
            while text.startswith(_UP) and set(text) != {".", "/"}:
                text = text.removeprefix(_UP)
                yield from (self._inside(base / text) for base in some)

    def _absolute(
        self, item: str, bases: Sequence[Path], place: str, *, may_match: bool = True
    ) -> Path | None:
        """What lies at an absolute path, else the one place that ends as it does, over the most folders."""
        plain = _plain(item)
        if (found := self._inside(Path(plain))) and found.exists():
            return found
        parts = plain.parts[1:] if may_match else ()
        for start in range(len(parts)):
            ends = [self._inside(base.joinpath(*parts[start:])) for base in bases]
            places = list(dict.fromkeys(one for one in ends if one and one.exists()))
            if len(places) > 1:
                names = " and ".join(map(self._shown, places))
                raise InvalidDataError(
                    f"{place} {item!r} is a path of another machine and ends as {names} do", _HINT
                )
            if places:
                return self._match(item, places[0], place)
        return None

    def _match(self, item: str, found: Path, place: str) -> Path:
        other = self._matched.setdefault(found, item)
        if other != item:
            raise InvalidDataError(
                f"{place} {other!r} and {item!r} are paths of another machine that both end as "
                f"{self._shown(found)}",
                _HINT,
            )
        if item not in self._told:
            self._told.add(item)
            self._tell(f"{item!r} is a path of another machine; {self._shown(found)}, which ends as it does,")
        return found

    def _tell(self, what: str) -> None:
        if len(self._told) <= _SHOWN:
            self._warnings.append(f"{self._path.name}: {what} is taken")
        elif len(self._told) == _SHOWN + 1:
            self._warnings.append(f"{self._path.name}: further paths of another machine are taken likewise")

    def _first(self, candidates: Iterable[Path | None], *, folders: bool = False) -> Path | None:
        exists = Path.is_dir if folders else Path.exists
        return next((one for one in candidates if one and exists(one)), None)

    def _inside(self, path: Path) -> Path | None:
        """The path with links followed; None when that is not on the volume."""
        try:
            found = path.resolve()
        except (OSError, RuntimeError, ValueError):  # a loop of links, a NUL
            return None
        return found if found.is_relative_to(self.root) else None

    def _shown(self, path: Path) -> str:
        return str(path.relative_to(self.root))


def _plain(item: str) -> PurePosixPath:
    return PurePosixPath(item.replace("\\", "/"))
