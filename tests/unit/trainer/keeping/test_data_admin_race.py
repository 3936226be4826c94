"""A prepare and the collector at one set at once, in every order of their steps: see `data.usage`."""

import itertools
import os
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dataset_writers import pack_zip
from prepared_sets import DAY, age
from yolo_crds.training import Data
from yolo_trainer.data import earlier, prepared_set, usage
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.data.manifest import first_changed, read_manifest
from yolo_trainer.data.usage import mark_used, stamp_of
from yolo_trainer.errors import VolumeFailedError
from yolo_trainer.keeping.collect import Removal, collect
from yolo_trainer.keeping.survey import Stored, list_fetched, list_sets, list_unpacked


def prepare(world: Any, train: str = "many", **data: object) -> PreparedSet:
    given = Data.model_validate({"train": train, "labels": ["a"], **data})
    return prepare_dataset(world.volume, given, "detect", world.report)


def assert_whole(world: Any, found: PreparedSet) -> None:
    manifest = read_manifest(found.folder)
    assert manifest is not None
    assert first_changed(manifest, world.data, world.report) is None
    assert len(list(found.folder.glob("images/*/*.jpg"))) == manifest.count == 3
    assert len(list(found.folder.glob("labels/*/*.txt"))) == 3


PLACES = ("before", "stamped", "handed out")
"""Where a step of the collector may come in between those of a prepare: before it stamps, between stamp and
look, after its end."""
ORDERS = list(itertools.combinations_with_replacement(PLACES, 2))


class Collector:
    """A removal in two steps, each taken at one of `PLACES`: rename aside, then decide."""

    def __init__(self, stored: Stored, aside: str, decide: str) -> None:
        self._removal = Removal(stored)
        self._steps = [(aside, self._set_aside), (decide, self._decide)]
        self._is_aside = False
        self.was_removed = False

    def take(self, place: str) -> None:
        while self._steps and self._steps[0][0] == place:
            self._steps.pop(0)[1]()

    def watch(self, monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
        """Takes the steps around the stamps of these."""

        def mark(path: Path) -> None:
            self.take("before")
            mark_used(path)
            self.take("stamped")

        for module in modules:
            monkeypatch.setattr(module, "mark_used", mark)

    @property
    def is_done(self) -> bool:
        return not self._steps

    def _set_aside(self) -> None:
        self._is_aside = self._removal.set_aside()

    def _decide(self) -> None:
        assert self._is_aside
        if self._removal.was_used():
            self._removal.put_back()
        else:
            self._removal.discard()
            self.was_removed = True


# Remembered; to be mended; found by its hash alone, since the options are others (but split off as many).
@pytest.mark.parametrize("data", [{}, {"copyImages": True}, {"valFraction": 0.3}], ids=str)
@pytest.mark.parametrize(("aside", "decide"), ORDERS)
def test_set_that_prepare_hands_out_is_whole(
    world: Any, monkeypatch: pytest.MonkeyPatch, aside: str, decide: str, data: dict[str, Any]
) -> None:
    world.many(count=3)
    prepare(world)
    age(world)
    (stored,) = list_sets(world.volume, {})
    collector = Collector(stored, aside, decide)
    collector.watch(monkeypatch, earlier, usage)
    monkeypatch.setattr(prepared_set, "mark_used", lambda path: None)  # an earlier stamp would hide the order
    found = prepare(world, **data)
    collector.take("handed out")
    assert collector.is_done
    assert_whole(world, found)
    assert collector.was_removed is (decide == "before")
    assert list(world.volume.prepared.glob(".tmp-*")) == []


@pytest.mark.parametrize(("aside", "decide"), ORDERS)
def test_archive_that_is_handed_out_is_there(
    world: Any, monkeypatch: pytest.MonkeyPatch, aside: str, decide: str
) -> None:
    world.image("made/images/a.png")
    world.text("made/labels/a.txt", "0 0.5 0.5 0.2 0.2\n")
    pack_zip(world.data / "made", world.data / "datasets/demo.zip")
    shutil.rmtree(prepare(world, "demo.zip").folder)
    age(world)
    (stored,) = list_unpacked(world.volume)
    collector = Collector(stored, aside, decide)
    collector.watch(monkeypatch, usage)
    found = prepare(world, "demo.zip")
    collector.take("handed out")
    assert collector.is_done
    assert [path.is_file() for path in found.folder.glob("images/*/*")] == [True, True]
    assert collector.was_removed is (decide == "before")


def test_set_is_stamped_before_it_is_mended(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world.many(count=3)
    prepare(world)
    age(world)
    (stored,) = list_sets(world.volume, {})
    removal = Removal(stored)
    mend = prepared_set.mend_set

    def mend_late(*args: Any) -> None:
        assert removal.set_aside()
        assert removal.was_used()
        removal.put_back()
        mend(*args)

    monkeypatch.setattr(prepared_set, "mend_set", mend_late)
    assert_whole(world, prepare(world, copyImages=True))


def test_prepare_gives_up_when_its_set_is_removed_again_and_again(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.many(count=3)

    def remove(path: Path) -> None:
        path.rename(path.with_name(f".gone-{os.urandom(4).hex()}"))

    monkeypatch.setattr(usage, "mark_used", remove)
    with pytest.raises(VolumeFailedError, match="was removed 3 times"):
        prepare(world)


def test_killed_collector_leaves_only_what_the_next_removes(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.many(count=3)
    prepare(world)
    age(world)
    pid = os.fork()
    if pid == 0:  # die with the set aside
        monkeypatch.setattr(Removal, "was_used", lambda removal: os._exit(9))
        list(collect(world.volume, {}, 30 * DAY, dry_run=False))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    assert list(world.volume.prepared.glob("[!.]*")) == []
    (left,) = world.volume.prepared.glob(".tmp-*")
    assert left.name.startswith(".tmp-gc-")
    assert_whole(world, prepare(world))  # whose own sweep takes the aside one for young
    assert left.is_dir()
    os.utime(left, (1, 1))
    (one,) = collect(world.volume, {}, 30 * DAY, dry_run=False)
    assert (one.what, one.path) == ("leftover", left)
    assert not left.exists()


def test_two_collectors_at_once(world: Any) -> None:
    world.many(count=3)
    prepare(world)
    age(world)
    (stored,) = list_sets(world.volume, {})
    first, second = Removal(stored), Removal(stored)
    assert first.set_aside()
    assert not second.run()
    first.discard()
    assert list(world.volume.prepared.glob(".tmp-*")) == []


def test_stamp_of_a_set_that_is_aside_for_a_moment_is_left(world: Any) -> None:
    world.many(count=3)
    found = prepare(world)
    age(world)
    (stored,) = list_sets(world.volume, {})
    removal = Removal(stored)
    mark_used(found.folder)
    assert removal.set_aside()
    list(collect(world.volume, {}, 30 * DAY, dry_run=False))
    assert stamp_of(found.folder).exists()
    removal.put_back()
    assert_whole(world, found)


@pytest.mark.parametrize("anew", [True, False])
def test_fetched_file_that_was_fetched_anew_meanwhile_is_kept(world: Any, anew: bool) -> None:
    file = world.text("prepared/.fetched/ucd/far.json", "old")
    age(world)
    (stored,) = list_fetched(world.volume)
    removal = Removal(stored)
    assert removal.set_aside()
    if anew:
        file.write_text("new")
    mark_used(file)
    assert removal.was_used()
    removal.put_back()
    assert file.read_text() == ("new" if anew else "old")
    assert list(file.parent.glob(".tmp-*")) == []
