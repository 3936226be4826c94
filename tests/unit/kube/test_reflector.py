"""What a listener is told of a collection, whatever happens to list and watch in between."""

import asyncio
from collections.abc import AsyncIterator, Callable
from collections.abc import Set as AbstractSet

import pytest

from yolo_kube import reflector as module
from yolo_kube.connection import Manifest, Page, WatchEvent
from yolo_kube.errors import GoneError, KubeError
from yolo_kube.reflector import Reflector


def _object(name: str, version: int) -> Manifest:
    return {"metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version)}}


class Script:
    """A source whose lists and watches are given; a watch that is not given lasts for ever."""

    def __init__(self) -> None:
        self.lists: list[list[Page] | Exception] = []
        self.watches: list[list[WatchEvent | Exception]] = []
        self.asked: list[str] = []

    async def pages(self) -> AsyncIterator[Page]:
        self.asked.append("list")
        answer = self.lists.pop(0)
        if isinstance(answer, Exception):
            raise answer
        for page in answer:
            yield page

    async def watch(self, version: str) -> AsyncIterator[WatchEvent]:
        self.asked.append(version)
        if not self.watches:
            await asyncio.Event().wait()
        for event in self.watches.pop(0):
            if isinstance(event, Exception):
                raise event
            yield event


class Known:
    """What a listener has heard: version by name."""

    def __init__(self) -> None:
        self.objects: dict[str, int] = {}

    def put(self, body: Manifest) -> None:
        if body["metadata"]["name"] == "odd":
            raise ValueError("nobody has foreseen this")
        self.objects[body["metadata"]["name"]] = int(body["metadata"]["resourceVersion"])

    def drop(self, body: Manifest) -> None:
        self.objects.pop(body["metadata"]["name"], None)

    def keep(self, uids: AbstractSet[str], version: int) -> None:
        self.objects = {
            name: seen for name, seen in self.objects.items() if f"uid-{name}" in uids or seen > version
        }

    def forget(self) -> None:
        self.objects = {}


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BACK_OFF", (0.001, 0.002))


async def _follow(script: Script, known: Known, until: Callable[[], bool]) -> Reflector:
    """Runs a reflector until then, and once more through the loop."""
    reflector = Reflector(script, known, "things")
    task = asyncio.create_task(reflector.run())
    async with asyncio.timeout(5):
        while not until():  # noqa: ASYNC110 - the script has no event for it
            await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return reflector


async def test_list_comes_page_by_page_and_the_watch_begins_where_it_ends() -> None:
    script, known = Script(), Known()
    script.lists = [[Page([_object("a", 3)], "9"), Page([_object("b", 5)], "9")]]
    script.watches = [[WatchEvent("MODIFIED", _object("a", 10)), WatchEvent("DELETED", _object("b", 11))]]
    reflector = await _follow(script, known, lambda: len(script.asked) == 3)
    assert known.objects == {"a": 10}
    assert script.asked == ["list", "9", "11"]
    assert reflector.synced.is_set()
    assert reflector.age < 5


async def test_bookmark_moves_the_place_and_tells_nothing() -> None:
    script, known = Script(), Known()
    script.lists = [[Page([], "9")]]
    script.watches = [[WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": "40"}})]]
    await _follow(script, known, lambda: len(script.asked) == 3)
    assert (script.asked[-1], known.objects) == ("40", {})


async def test_deletion_that_no_watch_told_is_told_by_the_next_list() -> None:
    script, known = Script(), Known()
    script.lists = [
        [Page([_object("a", 3), _object("b", 5)], "9")],
        [Page([_object("b", 5)], "90")],
    ]
    script.watches = [[WatchEvent("ADDED", _object("c", 10)), GoneError(410, "too old")]]
    await _follow(script, known, lambda: len(script.asked) == 4)
    assert known.objects == {"b": 5}
    assert script.asked == ["list", "9", "list", "90"]


async def test_what_is_newer_than_the_list_stays() -> None:
    """Somebody else, such as the one who has just written it, may have told of it meanwhile."""
    script, known = Script(), Known()
    known.put(_object("own", 12))
    known.put(_object("old", 8))
    script.lists = [[Page([], "9")]]
    await _follow(script, known, lambda: len(script.asked) == 2)
    assert known.objects == {"own": 12}


async def test_store_that_was_restored_from_a_backup_is_believed() -> None:
    script, known = Script(), Known()
    script.lists = [[Page([_object("a", 30), _object("b", 35)], "40")], [Page([_object("a", 8)], "9")]]
    script.watches = [[GoneError(410, "too old")]]
    await _follow(script, known, lambda: "9" in script.asked)
    assert known.objects == {"a": 8}


async def test_watches_without_a_word_for_long_are_followed_by_a_list(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From a version that a restored store has not reached it would hear nothing for long, and no error."""
    monkeypatch.setattr(module, "_SILENT_SECONDS", 0.0)
    script, known = Script(), Known()
    script.lists = [[Page([_object("a", 30)], "40")], [Page([_object("b", 8)], "9")]]
    script.watches = [[]]
    await _follow(script, known, lambda: "9" in script.asked)
    assert script.asked == ["list", "40", "list", "9"]
    assert known.objects == {"b": 8}


async def test_watch_that_ends_goes_on_where_it_was() -> None:
    script, known = Script(), Known()
    script.lists = [[Page([], "40")]]
    script.watches = [[]]
    await _follow(script, known, lambda: len(script.asked) == 3)
    assert script.asked == ["list", "40", "40"]


async def test_watch_that_breaks_off_goes_on_where_it_was() -> None:
    script, known = Script(), Known()
    script.lists = [[Page([], "9")]]
    script.watches = [
        [WatchEvent("ADDED", _object("a", 10)), KubeError(0, "reset")],
        [KubeError(503, "busy")],
    ]
    await _follow(script, known, lambda: len(script.asked) == 4)
    assert script.asked == ["list", "9", "10", "10"]
    assert known.objects == {"a": 10}


@pytest.mark.parametrize("why", [KubeError(0, "nobody there"), GoneError(410, "the list's rest is gone")])
async def test_list_that_fails_is_asked_for_again(why: KubeError) -> None:
    script, known = Script(), Known()
    script.lists = [why, why, [Page([_object("a", 3)], "9")]]
    reflector = await _follow(script, known, lambda: "9" in script.asked)
    assert known.objects == {"a": 3}
    assert reflector.idle < 5


async def test_object_that_nobody_has_foreseen_blinds_for_no_other() -> None:
    script, known = Script(), Known()
    script.lists = [[Page([_object("odd", 3), _object("a", 4)], "9")]]
    script.watches = [[WatchEvent("ADDED", _object("odd", 10)), WatchEvent("ADDED", _object("b", 11))]]
    await _follow(script, known, lambda: len(script.asked) == 3)
    assert known.objects == {"a": 4, "b": 11}
    assert script.asked == ["list", "9", "11"]
