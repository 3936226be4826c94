"""Build a prepared data set under its content hash: labels, links to images or copies, manifest, report.

Built in a folder beside and renamed, so it is whole or not there; of two builders the slower takes the
faster's.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from ..errors import volume_errors
from ..volume import TEMPORARY_PREFIX, fsync_folder
from .copies import check_room, copy_image
from .images import ImageFacts
from .manifest import Details, Entry, Manifest, TornManifestError, is_damaged, read_manifest, write_manifest
from .masks import mask_png
from .parallel import Report, map_waiting
from .set_plan import DATA_YAML, Item, SetPlan
from .usage import mark_used

REPORT = "report.json"
STALE_SECONDS = 24 * 3600
"""Something temporary of this age is of a killed process: none works so long on one set."""


def build_set(plan: SetPlan, details: Details, prepared: Path, report: Report) -> Path:
    """The folder of the set, built now, or found built and mended where the plan asks for more."""
    folder = prepared / details.dataset.hash
    with volume_errors(prepared, "write below"):
        prepared.mkdir(parents=True, exist_ok=True)
        collect_stale(prepared)
        if folder.exists():
            mark_used(folder)  # before it is mended: see there
            if _is_mended(folder, plan, report):
                return folder
            folder.rename(_temporary(prepared, "broken"))  # damaged by hand: only whole sets are renamed here
        temporary = _temporary(prepared, details.dataset.hash)
        try:
            _fill(temporary, plan, details, report)
            temporary.rename(folder)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            is_taken = error.errno in {errno.EEXIST, errno.ENOTEMPTY}
            if not (is_taken and _is_mended(folder, plan, report)):
                raise
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        fsync_folder(prepared)
    return folder


def _is_mended(folder: Path, plan: SetPlan, report: Report) -> bool:
    """Whether the set is whole now, mended where it had to be; False without a manifest to go by."""
    manifest = read_manifest(folder)
    if manifest is None:
        return False
    try:
        mend_set(folder, manifest, plan, report)
    except TornManifestError:
        return False
    return True


def collect_stale(prepared: Path) -> None:
    """Removes what killed prepares left behind a day ago or earlier."""
    for path in prepared.glob(f"{TEMPORARY_PREFIX}*"):
        try:
            is_old = time.time() - path.lstat().st_mtime > STALE_SECONDS
        except FileNotFoundError:
            continue
        if is_old:
            shutil.rmtree(path, ignore_errors=True)


def _temporary(prepared: Path, name: str) -> Path:
    return prepared / f"{TEMPORARY_PREFIX}{name}-{secrets.token_hex(4)}"


def _fill(folder: Path, plan: SetPlan, details: Details, report: Report) -> None:
    check_room(folder.parent, (item.facts for item in plan.items if plan.is_copied(item.facts)))
    paths = (path for item in plan.items for path in (item.image, item.label, item.mask) if path)
    for parent in {path.rpartition("/")[0] for path in paths}:
        (folder / parent).mkdir(parents=True, exist_ok=True)

    for _ in map_waiting(_Builder(folder, plan), plan.items, len(plan.items), "convert", report):
        pass
    if not plan.is_classification:
        text = yaml.safe_dump(plan.data_yaml(), sort_keys=False, allow_unicode=True)
        (folder / DATA_YAML).write_text(text, encoding="utf-8")
    (folder / REPORT).write_text(json.dumps(details.to_wire(), indent=1), encoding="utf-8")
    # One sync for all: an fsync for each of 100,000 label files takes minutes on a network volume.
    os.sync()
    write_manifest(folder, details.dataset.hash, map(plan.entry, plan.items))
    fsync_folder(folder)


class _Builder:
    """Places images and label files of a set; paths are text, since a `Path` takes longer than the volume."""

    def __init__(self, folder: Path, plan: SetPlan) -> None:
        self._folder, self._plan = folder, plan
        self._ways: dict[tuple[str, str], str] = {}

    def __call__(self, items: list[Item]) -> list[None]:
        for item in items:
            place_image(f"{self._folder}/{item.image}", item.facts, self._plan, self._way(item))
            if item.label:
                with open(f"{self._folder}/{item.label}", "wb", buffering=0) as file:  # noqa: PTH123
                    file.write(item.text.encode())
            if item.mask and item.class_mask:
                (self._folder / item.mask).write_bytes(mask_png(item.class_mask))
        return [None] * len(items)

    def _way(self, item: Item) -> str:
        """The source image as seen from its place: worked out once for each pair of folders."""
        source, _, name = item.facts.path.rpartition("/")
        here = item.image.rpartition("/")[0]
        if (way := self._ways.get((source, here))) is None:
            way = self._ways[source, here] = os.path.relpath(source, self._folder / here)
        return f"{way}/{name}"


def place_image(place: str, facts: ImageFacts, plan: SetPlan, link: str) -> None:
    """A copy, or the relative `link`, which is good wherever the volume is mounted."""
    if plan.is_copied(facts):
        copy_image(Path(place), facts, plan.tree_of(facts))
    else:
        os.symlink(link, place)  # noqa: PTH211


def mend_set(folder: Path, manifest: Manifest, plan: SetPlan, report: Report) -> None:
    """Replaces what is not as the manifest says by this plan's image of the same content, and links by copies
    where the plan asks for these.

    All new files are made aside and synced before the first is renamed into its place, so a full disk or a
    kill leaves the set as it was; readers see the old or the new file, of one content.
    """
    by_file = {item.image: item for item in plan.items}
    wanted = [
        by_file[entry.file]
        for entry in manifest.entries()
        if entry.file in by_file and (is_damaged(entry, folder, plan.volume.root) or _is_short(entry, plan))
    ]
    if not wanted:
        _rewrite(manifest, lambda entry: _deepened(entry, by_file))
        return
    aside = _temporary(folder.parent, folder.name)
    aside.mkdir()
    try:
        check_room(aside, (item.facts for item in wanted if plan.is_copied(item.facts)))

        def place(chunk: list[tuple[int, Item]]) -> list[None]:
            for number, item in chunk:
                link = os.path.relpath(item.facts.path, (folder / item.image).parent)
                place_image(f"{aside}/{number}", item.facts, plan, link)
            return [None] * len(chunk)

        for _ in map_waiting(place, enumerate(wanted), len(wanted), "convert", report):
            pass
        os.sync()
        for number, item in enumerate(wanted):
            (aside / str(number)).replace(folder / item.image)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    new = {item.image: plan.entry(item) for item in wanted}
    for cache in folder.glob("*/*.cache"):
        cache.unlink(missing_ok=True)  # keyed by times of change; the next one is written with the new ones
    _rewrite(manifest, lambda entry: new.get(entry.file) or _deepened(entry, by_file))


def _deepened(entry: Entry, by_file: Mapping[str, Item]) -> Entry:
    """What was found out counts for an image of the same content too."""
    item = by_file.get(entry.file)
    if item is None:
        return entry
    found = {"decoded": entry.decoded or item.facts.decoded, "orientation": item.facts.orientation}
    return entry.model_copy(update=found)


def _rewrite(manifest: Manifest, renew: Callable[[Entry], Entry]) -> None:
    """Writes the manifest anew if that changes one of its entries."""
    if any(renew(entry) != entry for entry in manifest.entries()):
        write_manifest(manifest.folder, manifest.hash, map(renew, manifest.entries()))


def _is_short(entry: Entry, plan: SetPlan) -> bool:
    return plan.copy_images and not entry.copied
