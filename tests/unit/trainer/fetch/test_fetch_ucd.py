"""Data sets and images from a UCD server of either generation."""

import errno
import io
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from prepared_sets import prepare_stage as prepare
from scripted_server import Reply, Request, ScriptedServer, ranged
from ucd_server import UcdServer, serving
from yolo_crds.conditions import RETRYABLE, Reason
from yolo_crds.trainer import ExitCode, Fetch, Prepared
from yolo_crds.training import Data
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.data.usage import stamp_of
from yolo_trainer.errors import DiskFullError, FetchFailedError, InvalidDataError, VolumeFailedError
from yolo_trainer.fetch.client import Patience
from yolo_trainer.fetch.fetcher import Fetcher

PATIENCE = Patience(connect=5, read=5, attempts=3, backoff=0.01)


def picture(shade: int = 0, form: str = "JPEG", size: tuple[int, int] = (64, 48)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (shade % 256, shade // 256, 7)).save(out, form)
    return out.getvalue()


def content(count: int = 6) -> dict[str, Any]:
    """A data set of one box of class `a` an image."""
    codes = [f"Fwe{i:04}" for i in range(count)]
    box = {"shape_type": "rectangle", "label": "a", "points": [[8, 8], [40, 40]]}
    return {"uc_list": codes, "shapes": {code: [box] for code in codes}}


def fill(root: Path, name: str = "many", kind: str = "customer", count: int = 6) -> None:
    """Puts a data set and its images below a server's root."""
    path = root / "ucd" / kind / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content(count)))
    (root / "img").mkdir(exist_ok=True)
    for i in range(count):
        (root / f"img/Fwe{i:04}.jpg").write_bytes(picture(i * 25))


@pytest.fixture(params=["new", "old"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[UcdServer]:
    root = tmp_path / "server"
    fill(root)
    found = UcdServer(root, request.param)
    with serving(found):
        yield found


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    found = ScriptedServer({"/ucd/customer/many": Reply(json.dumps(content()).encode())})
    for i in range(6):
        found.scripts[f"/file/Fwe{i:04}.jpg"] = Reply(picture(i * 25))
    with serving(found):
        yield found


def fetcher(world: Any, url: str, **settings: object) -> Fetcher:
    fetch = Fetch.model_validate({"ucdServer": url, **settings})
    return Fetcher(world.volume, fetch, world.report, patience=PATIENCE)


def take(world: Any, url: str, train: str = "many", **settings: object) -> PreparedSet:
    data = Data.model_validate({"train": train, "labels": ["a"]})
    found = fetcher(world, url, **settings)
    return prepare_dataset(world.volume, data, "detect", world.report, remote=found)


def cached(world: Any) -> list[str]:
    """All names in the user's folder, hidden ones too."""
    return sorted(path.name for path in world.volume.images.iterdir())


def codes(count: int) -> list[str]:
    return [f"Fwe{i:04}.jpg" for i in range(count)]


def test_data_set_and_images_come_from_either_generation(world: Any, server: UcdServer) -> None:
    found = take(world, server.url)
    assert (found.details.dataset.images, found.details.dataset.boxes) == (6, 6)
    assert found.details.dataset.skipped == {}
    assert cached(world) == codes(6)
    assert (world.volume.images / "Fwe0001.jpg").read_bytes() == picture(25)
    assert not list(world.volume.ucd.iterdir())
    assert json.loads((world.volume.fetched / "ucd/many/many.json").read_text()) == content()
    assert any(report["stage"] == "fetch" and report.get("images_per_second") for report in world.reports)


@pytest.mark.parametrize("name", ["team/inner set/many", "team\\inner set\\many", "team/inner set/many.json"])
def test_names_may_hold_folders(world: Any, server: UcdServer, name: str) -> None:
    fill(server.root, "team/inner set/many", "official")
    assert take(world, server.url, name).details.dataset.images == 6


def test_official_goes_before_customer(world: Any, server: UcdServer) -> None:
    fill(server.root, kind="official", count=3)
    assert take(world, server.url).details.dataset.images == 3


def test_slash_is_tried_before_backslash(world: Any, scripted: ScriptedServer) -> None:
    with pytest.raises(InvalidDataError):
        take(world, scripted.url, "team/x y")
    assert scripted.targets == [
        "/ucd/official/team/x%20y",
        "/ucd/customer/team/x%20y",
        "/ucd/team/x%20y",
        "/ucd/official/team%5Cx%20y",
        "/ucd/customer/team%5Cx%20y",
        "/ucd/team%5Cx%20y",
        "/ucd/check",
    ]


def test_volume_goes_before_the_server(world: Any, server: UcdServer) -> None:
    world.many(count=2)
    assert take(world, server.url).details.dataset.images == 2
    assert server.requests == []


@pytest.mark.parametrize("train", ["many", "https://data.example.org/a.zip?sig=hunter2"])
def test_with_an_image_volume_nothing_is_asked(
    world: Any, server: UcdServer, tmp_path: Path, train: str
) -> None:
    (tmp_path / "image").mkdir()
    (tmp_path / "image/README").write_text("no data set")
    data = Data.model_validate({"train": train, "image": "registry.example.org/x:1", "labels": ["a"]})
    found = fetcher(world, server.url, archives=True)
    with pytest.raises(InvalidDataError, match=r"template\.data\.train: ") as error:
        prepare_dataset(world.volume, data, "detect", world.report, tmp_path / "image", found)
    assert "hunter2" not in error.value.message
    assert server.requests == []


def test_what_was_fetched_is_stamped_as_used(world: Any, server: UcdServer) -> None:
    take(world, server.url)
    folder = world.volume.fetched / "ucd/many"
    os.utime(stamp_of(folder), (0, 0))
    take(world, server.url)
    assert stamp_of(folder).stat().st_mtime > 0


def test_only_missing_images_are_fetched(world: Any, server: UcdServer) -> None:
    world.many(count=6)
    for code in ("Fwe0001", "Fwe0004"):
        (world.volume.images / f"{code}.jpg").unlink()
    (world.volume.images / "Fwe0002.jpg").rename(world.volume.images / "Fwe0002.PNG")
    assert take(world, server.url).details.dataset.images == 6
    assert sorted(server.requests) == ["/file/Fwe0001.jpg", "/file/Fwe0004.jpg"]


def test_without_a_server_nothing_is_asked(world: Any) -> None:
    data = Data.model_validate({"train": "many", "labels": ["a"]})
    with pytest.raises(InvalidDataError, match="was not found in the data volume; looked for"):
        prepare_dataset(world.volume, data, "detect", world.report)


def test_unchanged_set_is_only_asked_for(world: Any, server: UcdServer) -> None:
    first = take(world, server.url)
    kept = world.volume.fetched / "ucd/many/many.json"
    before = kept.stat()
    server.requests.clear()
    assert take(world, server.url).folder == first.folder
    assert not any("/file/" in request for request in server.requests)
    assert (kept.stat().st_ino, kept.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_changed_set_is_taken(world: Any, server: UcdServer) -> None:
    take(world, server.url)
    fill(server.root, count=4)
    assert take(world, server.url).details.dataset.images == 4


def test_known_version_is_asked_for_by_its_etag(world: Any, scripted: ScriptedServer) -> None:
    scripted.scripts["/ucd/customer/many"] = ranged(json.dumps(content()).encode())
    take(world, scripted.url)
    take(world, scripted.url)
    asked = [r for r in scripted.requests if r.target == "/ucd/customer/many"]
    assert [r.headers.get("If-None-Match") for r in asked] == [None, '"1"']


def test_missing_data_set_tells_every_answer_and_near_names(world: Any, server: UcdServer) -> None:
    fill(server.root, "helmets_v2", "official")
    with pytest.raises(InvalidDataError) as error:
        take(world, server.url, "helmet_v2")
    assert (
        "template.data.train: 'helmet_v2' was not found in the data volume; looked for" in error.value.message
    )
    for place in ("ucd/official/helmet_v2", "ucd/customer/helmet_v2", "ucd/helmet_v2"):
        assert f"{server.url}/{place}: " in error.value.message
    want = "no such file" if server.generation == "new" else "HTTP 404"
    assert want in error.value.message
    assert error.value.hint == "the UCD server has helmets_v2"
    world.text("ucd/helmets_v1.json", "{}")
    with pytest.raises(InvalidDataError) as error:
        take(world, server.url, "helmet_v2")
    assert error.value.hint == "did you mean 'helmets_v1'? the UCD server has helmets_v2"


@pytest.mark.parametrize(
    ("body", "want"),
    [
        (b'{"status": "error", "message": "nope"}', "no data set .*nope"),
        (b"[1]", "no JSON object"),
        (b"<html>login</html>", "no JSON object .*<html>login"),
        (b"", "no JSON object .nothing"),
        (b'{"uc_list": ["Fwe0', "no JSON object"),
    ],
)
def test_what_is_no_data_set_is_not_kept(
    world: Any, scripted: ScriptedServer, body: bytes, want: str
) -> None:
    scripted.scripts["/ucd/customer/many"] = Reply(body, length=False)
    with pytest.raises(InvalidDataError, match=want):
        take(world, scripted.url)
    assert not [p.name for p in (world.volume.fetched / "ucd/many").iterdir() if p.name != "lock"]


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("../many", r"has '\.\.' in it"),
        ("a/../../many", r"has '\.\.' in it"),
        ("..\\many", r"has '\.\.' in it"),
        ("a\nb", "has a control character"),
        ("a\x00b", "template.data.train"),
        ("a//b", "has an empty folder"),
        ("./b", "has an empty folder, '.'"),
        ("/etc/many", "template.data.train"),
        ("/data/x", "template.data.train"),
    ],
)
def test_harmful_names_reach_no_server(world: Any, server: UcdServer, name: str, want: str) -> None:
    with pytest.raises(InvalidDataError, match=want) as error:
        take(world, server.url, name)
    assert error.value.message.startswith("template.data.train: ")
    assert server.requests == []


@pytest.mark.parametrize("name", ["a?b#c", "a%2e%2e", "a&b=c", "ключ", "a;b"])
def test_odd_names_are_encoded_and_kept_apart(world: Any, server: UcdServer, name: str) -> None:
    fill(server.root, name)
    assert take(world, server.url, name).details.dataset.images == 6
    kept = [p.name for p in (world.volume.fetched / "ucd").iterdir() if not p.name.startswith(".")]
    assert len(kept) == 1
    assert kept[0].isascii()


def test_base_may_have_a_path(world: Any, server: UcdServer) -> None:
    with pytest.raises(InvalidDataError, match=f"{server.url}/api/ucd/official/many"):
        take(world, f"{server.url}/api/")


def test_down_server_is_replaced_by_the_copy_with_its_age(
    world: Any, server: UcdServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yolo_trainer.prepare.stage.Fetcher", partial(Fetcher, patience=PATIENCE))
    first = take(world, server.url)
    note = world.volume.fetched / "ucd/many/note.json"
    content_ = json.loads(note.read_text())
    note.write_text(json.dumps({**content_, "confirmed": time.time() - 3 * 86400 - 60}))
    server.shutdown()
    server.server_close()
    config = world.config(data={"train": "many", "labels": ["a"]})
    found = prepare(config.model_copy(update={"fetch": Fetch(ucd_server=server.url)}), world.report)
    assert isinstance(found, Prepared)
    assert found.dataset.hash == first.details.dataset.hash
    assert any("connection refused (3 times)" in w and "3 days ago" in w for w in found.warnings)


def test_down_server_without_a_copy_can_be_tried_again(world: Any) -> None:
    with ScriptedServer() as closed:
        url = closed.url
    with pytest.raises(FetchFailedError, match=r"cannot fetch data set many: .*connection refused") as error:
        take(world, url)
    assert error.value.reason is Reason.FETCH_FAILED
    assert error.value.reason in RETRYABLE
    assert error.value.exit_code is ExitCode.FETCH_FAILED


def test_copy_of_another_server_is_not_taken(world: Any, server: UcdServer) -> None:
    take(world, server.url)
    with ScriptedServer() as closed:
        url = closed.url
    with pytest.raises(FetchFailedError):
        take(world, url)


def test_place_that_fails_does_not_hide_another(world: Any, scripted: ScriptedServer) -> None:
    scripted.scripts["/ucd/official/many"] = Reply(b"oops", 500)
    assert take(world, scripted.url).details.dataset.images == 6
    scripted.scripts["/ucd/official/other"] = Reply(b"oops", 500)
    with pytest.raises(FetchFailedError, match="ucd/official/other: HTTP 500"):
        take(world, scripted.url, "other")  # it may be there


def test_images_come_several_at_a_time_and_never_more(world: Any, scripted: ScriptedServer) -> None:
    together = threading.Barrier(10)

    def meet(request: Request) -> Reply:
        together.wait(30)  # all ten must be under way at once to go on
        return Reply(picture(int(request.target[9:13])))

    count = 40
    scripted.scripts["/ucd/customer/many"] = Reply(json.dumps(content(count)).encode())
    for i in range(count):
        scripted.scripts[f"/file/Fwe{i:04}.jpg"] = meet
    assert take(world, scripted.url).details.dataset.images == count
    assert scripted.most_under_way == 10
    assert scripted.connections <= 11  # kept alive


def test_parallel_is_the_installers(world: Any, scripted: ScriptedServer) -> None:
    take(world, scripted.url, parallel=1)
    assert scripted.most_under_way == 1


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(b'{"error": "no such file"}'), "missingImage"),
        (Reply(status=404), "missingImage"),
        (Reply(status=410), "missingImage"),
        (Reply(b"<html>busy</html>"), "notAnImage"),
        (Reply(picture(9, "GIF")), "notAnImage"),
        (Reply(b""), "notAnImage"),
        (Reply(picture(9, size=(640, 480)), cut=700, length=False), "notAnImage"),
        (Reply(bytes(5000)), "oversizedImage"),
        (Reply(bytes(5000), length=False), "oversizedImage"),
    ],
)
def test_image_that_is_none_is_counted_and_not_kept(
    world: Any, scripted: ScriptedServer, reply: Reply, kind: str
) -> None:
    scripted.scripts["/file/Fwe0002.jpg"] = reply
    found = take(world, scripted.url, maxImageBytes=4000)
    assert found.details.dataset.images == 5
    assert found.details.dataset.skipped == {kind: 1}
    assert found.details.skipped_names[kind][0].startswith("Fwe0002")
    assert "Fwe0002.jpg" not in cached(world)


def test_png_under_the_name_of_a_jpeg_is_taken(world: Any, scripted: ScriptedServer) -> None:
    scripted.scripts["/file/Fwe0002.jpg"] = Reply(picture(9, "PNG"))
    assert take(world, scripted.url).details.dataset.images == 6


def test_no_image_at_all_is_a_clear_failure(world: Any, scripted: ScriptedServer) -> None:
    for i in range(6):
        scripted.scripts[f"/file/Fwe{i:04}.jpg"] = Reply(b'{"error": "gone"}')
    with pytest.raises(InvalidDataError, match="no usable image in 'many'; images left out, file missing: 6"):
        take(world, scripted.url)


@pytest.mark.parametrize("reply", [Reply(status=500), Reply(picture(9), cut=10), Reply(status=403)])
def test_server_that_dies_in_the_middle_fails_and_what_came_is_kept(
    world: Any, scripted: ScriptedServer, reply: Reply
) -> None:
    scripted.scripts["/file/Fwe0003.jpg"] = reply
    with pytest.raises(FetchFailedError, match=r"/file/Fwe0003\.jpg: "):
        take(world, scripted.url, parallel=1)
    came = cached(world)
    assert came[:3] == codes(3)
    assert "Fwe0003.jpg" not in came
    assert not list(world.volume.fetched.glob(".tmp-*"))
    scripted.scripts["/file/Fwe0003.jpg"] = Reply(picture(75))
    scripted.requests.clear()
    assert take(world, scripted.url, parallel=1).details.dataset.images == 6
    assert [t[6:] for t in scripted.targets if "/file/" in t] == [c for c in codes(6) if c not in came]


def test_image_that_came_meanwhile_is_left_as_it_is(world: Any, scripted: ScriptedServer) -> None:
    theirs = world.volume.images / "Fwe0002.jpg"

    def late(request: Request) -> Reply:
        theirs.write_bytes(picture(99))
        return Reply(picture(50))

    scripted.scripts["/file/Fwe0002.jpg"] = late
    assert take(world, scripted.url).details.dataset.images == 6
    assert theirs.read_bytes() == picture(99)


def test_two_prepares_at_once_do_no_harm(world: Any, scripted: ScriptedServer) -> None:
    found: list[PreparedSet] = []
    threads = [threading.Thread(target=lambda: found.append(take(world, scripted.url))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert [one.details.dataset.images for one in found] == [6, 6]
    assert found[0].folder == found[1].folder
    assert cached(world) == codes(6)


def test_images_are_for_the_group(world: Any, scripted: ScriptedServer) -> None:
    before = os.umask(0o002)
    try:
        take(world, scripted.url)
    finally:
        os.umask(before)
    assert {p.stat().st_mode & 0o777 for p in world.volume.images.iterdir()} == {0o664}


def refuse(number: int) -> Callable[..., None]:
    def raises(*paths: object, **options: object) -> None:
        raise OSError(number, os.strerror(number), str(paths[0]))

    return raises


def test_read_only_image_folder_is_told(
    world: Any, scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", refuse(errno.EACCES))
    with pytest.raises(VolumeFailedError, match=r"cannot keep images in .*img_cache.*permission denied"):
        take(world, scripted.url)


def test_volume_without_hard_links_will_do(
    world: Any, scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", refuse(errno.ENOTSUP))
    assert take(world, scripted.url).details.dataset.images == 6
    assert cached(world) == codes(6)


def test_full_disk_is_told(world: Any, scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", refuse(errno.ENOSPC))
    with pytest.raises(DiskFullError, match="no space or quota left"):
        take(world, scripted.url)
    assert not [p.name for p in (world.volume.fetched / "ucd/many").iterdir() if p.name != "lock"]


def test_archive_brings_its_images_along(world: Any, scripted: ScriptedServer) -> None:
    """A server is asked only for images that `img_cache` should have."""
    world.text("datasets/own/ucd.json", json.dumps(content(2)))
    world.image("datasets/own/img_cache/Fwe0000.jpg")
    assert take(world, scripted.url, "own").details.dataset.skipped == {"missingImage": 1}
    assert scripted.requests == []
