"""`python -m yolo_trainer data ls|verify`: what is told of prepared sets; and the command line."""

import json
import os
import re
import shutil
import stat
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from prepared_sets import age, end, make, run, told, train, zipped
from yolo_crds.training import Data, Task
from yolo_trainer import __main__ as program
from yolo_trainer.data.dataset import prepare_dataset
from yolo_trainer.data.usage import stamp_of
from yolo_trainer.keeping import command
from yolo_trainer.sizes import bytes_text, parse_span, span_text


def test_ls_tells_all_that_is_there(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    world.many(count=4)
    zipped(world)
    linked = train(world)
    copied = make(world, seed=1, copyImages=True)
    unpacked = make(world, "demo.zip")
    (world.data / "img_cache/Fwe0000.jpg").unlink()
    assert run(world, "ls", "--json") == 0
    found = json.loads(told(capsys))
    sets = {row["name"]: row for row in found["sets"]}
    assert set(sets) == {linked.name, copied.name, unpacked.name}
    assert sets[linked.name]["state"] == "1 images changed"
    assert sets[linked.name]["usedBy"] == ["demo r1a1 (not ended)"]
    assert sets[copied.name]["state"] == "whole"
    assert sets[copied.name]["usedBy"] == []
    assert (sets[copied.name]["kind"], sets[copied.name]["source"]) == ("ucd", "many")
    assert (sets[copied.name]["images"], sets[copied.name]["boxes"]) == (4, 4)
    pictures = sum(path.lstat().st_blocks * 512 for path in copied.rglob("*.jpg"))
    assert pictures > 0
    assert sets[copied.name]["ownBytes"] >= sets[linked.name]["ownBytes"] + pictures
    assert time.time() - sets[linked.name]["lastUsed"] < 3600
    assert [len(row["name"]) for row in found["unpacked"]] == [64]
    assert found["leftovers"] == []
    assert found["forgotten"] == 0
    assert found["ownBytes"] == sum(row["ownBytes"] for row in [*found["sets"], *found["unpacked"]])


def test_ls_of_fresh_volumes_needs_no_run_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the first training: both volumes are there and empty."""
    for volume in ("data", "runs"):
        (tmp_path / volume).mkdir()
    where = ["--data-dir", str(tmp_path / "data"), "--runs-dir", str(tmp_path / "runs")]
    assert command.main(["ls", *where]) == 0
    assert "0 sets" in told(capsys)


def test_ls_as_a_table(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    world.many(count=4)
    for model in ("anna", "berta", "carl", "dora"):
        folder = train(world, model)
    end(world, "anna")
    age(world, days=3)
    (folder / "manifest.jsonl").unlink()
    (world.volume.prepared / ".tmp-left").mkdir()
    os.utime(world.volume.prepared / ".tmp-left", (1, 1))
    assert run(world, "ls") == 0
    header, row, *rest = told(capsys).splitlines()
    assert header.split() == ["SET", "FROM", "IMAGES", "BOXES", "OWN", "STATE", "USED", "BY"]
    assert row.startswith(f"{folder.name}  ucd: many       4      4  ")
    assert "no manifest" in row
    assert row.endswith("and 1 more")
    assert rest[1].startswith("LEFT BEHIND")
    assert rest[2].startswith(".tmp-left ")
    assert rest[-1].startswith("1 sets, 0 unpacked archives, 0 fetched: ")


def test_ls_of_an_empty_volume(world: Any, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(world, "ls") == 0
    assert told(capsys) == "0 sets, 0 unpacked archives, 0 fetched: 0 B; 0 outcomes remembered\n"


# verify


def test_verify_of_whole_sets(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    world.many(count=4)
    jpeg = world.data / "img_cache/Fwe0001.jpg"
    jpeg.write_bytes(jpeg.read_bytes() + b"\0\0")  # a copy with an end marker is made of it
    folder = make(world)
    make(world, seed=1, copyImages=True)
    assert run(world, "verify", "--content") == 0
    assert told(capsys).count("whole, 4 images") == 2
    assert run(world, "verify", folder.name[:8]) == 0
    assert told(capsys) == f"{folder.name} whole, 4 images\n"


def rewrite(file: Path, change: Callable[[str], str]) -> None:
    """Changes a file of a prepared set; an hour later, as the clock of a file system is no fine one."""
    file.write_text(change(file.read_text()), errors="surrogateescape")
    later = time.time() + 3600
    os.utime(file, (later, later))


def harm_text(folder: Path, how: str) -> None:
    match how:
        case "label emptied":
            rewrite(min((folder / "labels").rglob("*.txt")), lambda text: "")
        case "label no text":
            rewrite(min((folder / "labels").rglob("*.txt")), lambda text: "\udcff")
        case "name changed":
            rewrite(folder / "data.yaml", lambda text: text.replace("0: a", "0: b"))
        case "data.yaml torn":
            rewrite(folder / "data.yaml", lambda text: "names: [")
        case "data.yaml with a date":
            rewrite(folder / "data.yaml", lambda text: f"{text}day: 2024-01-01\n")


def harm(folder: Path, how: str) -> None:
    picture = min((folder / "images").rglob("*.jpg"))
    source = picture.resolve()
    match how:
        case "source gone":
            source.unlink()
        case "source written":
            os.utime(source, (1, 1))
        case "source longer":
            source.write_bytes(source.read_bytes() + b"x")
        case "link gone":
            picture.unlink()
        case "link elsewhere":
            picture.unlink()
            picture.symlink_to("nowhere.jpg")
        case "label gone":
            min((folder / "labels").rglob("*.txt")).unlink()
        case "manifest torn":
            (folder / "manifest.jsonl").write_text("{")
        case "manifest damaged":
            head, _, *rest = (folder / "manifest.jsonl").read_text().splitlines(keepends=True)
            (folder / "manifest.jsonl").write_text("".join([head, "{}\n", *rest]))
        case "manifest of another":
            text = (folder / "manifest.jsonl").read_text()
            (folder / "manifest.jsonl").write_text(text.replace(folder.name, "0" * 32))
        case "data.yaml gone":
            (folder / "data.yaml").unlink()
        case "content":
            before = source.stat()
            source.write_bytes(bytes([*source.read_bytes()[:-3], 0, 255, 217]))
            os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    ("how", "want"),
    [
        ("source gone", "images/train/Fwe000.*jpg: its link leads nowhere"),
        ("source written", "img_cache/Fwe.* was written since"),
        ("source longer", r"images/.*: \d+ bytes, were \d+"),
        ("link gone", r"images/.*\.jpg: missing"),
        ("link elsewhere", r"leads nowhere \(nowhere.jpg\)"),
        ("label gone", r"labels/.*\.txt: missing"),
        ("manifest torn", "manifest.jsonl: missing or torn"),
        ("manifest damaged", "manifest.jsonl, line 2: describes no image"),
        ("manifest of another", "manifest.jsonl: is of the set 00000"),
        ("data.yaml gone", "data.yaml: missing"),
    ],
)
def test_verify_names_what_is_wrong(
    world: Any, capsys: pytest.CaptureFixture[str], how: str, want: str
) -> None:
    world.many(count=4)
    harm(make(world), how)
    assert run(world, "verify") == 3
    out = told(capsys)
    assert "damaged, 1 faults" in out
    assert re.search(want, out)


@pytest.mark.parametrize(
    ("how", "want"),
    [
        ("label emptied", r"labels/.*/Fwe000\d.txt:"),
        ("label no text", r"labels/.*/Fwe000\d.txt:"),
        ("name changed", "data.yaml:"),
        ("data.yaml torn", "data.yaml:"),
        ("data.yaml with a date", "data.yaml:"),
    ],
)
def test_verify_names_text_that_was_changed(
    world: Any, capsys: pytest.CaptureFixture[str], how: str, want: str
) -> None:
    world.many(count=4)
    harm_text(make(world), how)
    assert run(world, "verify") == 3
    out = told(capsys)
    assert "damaged, 1 faults" in out
    assert re.search(f"{want} was written since the set was prepared", out)


def test_verify_finds_changed_labels_by_content_alone(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    world.many(count=4)
    folder = make(world)
    harm_text(folder, "label emptied")
    for file in (folder / "labels").rglob("*.txt"):
        os.utime(file, (1, 1))
    assert run(world, "verify") == 3
    assert "labels or data.yaml: not as prepared" in told(capsys)


@pytest.mark.parametrize("task", ["segment", "semantic", "obb"])
def test_verify_of_whole_sets_of_other_tasks(world: Any, task: Task) -> None:
    world.many(count=4)
    file = world.data / "ucd/many.json"
    outline = file.read_text().replace("rectangle", "polygon").replace("[40, 40]", "[40, 8], [40, 40]")
    file.write_text(outline)
    data = Data.model_validate({"train": "many", "labels": ["a"]})
    prepare_dataset(world.volume, data, task, world.report)
    assert run(world, "verify") == 0


def test_verify_finds_a_changed_mask(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(3):
        world.image(f"datasets/demo/images/m{i}.jpg", shade=i * 40)
        file = world.data / f"datasets/demo/masks/m{i}.png"
        file.parent.mkdir(exist_ok=True)
        Image.new("L", (64, 48), i % 2).save(file)
    data = Data.model_validate({"train": "demo", "labels": ["road", "sky"]})
    folder = prepare_dataset(world.volume, data, "semantic", world.report).folder
    assert run(world, "verify") == 0
    mask = min((folder / "masks").rglob("*.png"))
    Image.new("L", (64, 48), 255).save(mask)
    os.utime(mask, (time.time() + 3600,) * 2)
    assert run(world, "verify") == 3
    assert re.search(r"masks/.*png: was written since", told(capsys))


def test_verify_by_content_finds_what_size_and_time_hide(
    world: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    world.many(count=4)
    harm(make(world), "content")
    assert run(world, "verify") == 0
    assert run(world, "verify", "--content") == 3
    captured = capsys.readouterr()
    assert "sha256" in captured.out
    assert "4 of 4 images" in captured.err


def test_verify_tells_the_first_faults_and_how_many(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    world.many(count=9)
    make(world)
    shutil.rmtree(world.data / "img_cache")
    assert run(world, "verify") == 3
    lines = told(capsys).splitlines()
    assert lines[0].endswith("damaged, 9 faults")
    assert len([line for line in lines if line.startswith("  images/")]) == 5
    assert lines[6] == "  and 4 more"


@pytest.mark.parametrize(("name", "want"), [("ffff", "there is no such set"), ("", "2 sets begin so")])
def test_verify_of_an_unknown_set(
    world: Any, capsys: pytest.CaptureFixture[str], name: str, want: str
) -> None:
    world.many(count=2)
    make(world)
    make(world, labels=["a", "b"], missingClasses="allow")
    assert run(world, "verify", name) == 2
    assert want in capsys.readouterr().err


# The command line


@pytest.mark.parametrize(
    ("arguments", "want"),
    [
        ([], "the following arguments are required"),
        (["prune"], "invalid choice: 'prune'"),
        (["gc"], "--older-than"),
        (["gc", "--older-than", "soon"], "'soon' is no span of time; want a number with h, d or w, as 30d"),
        (["gc", "--older-than", "2h"], "2h is less than 1 d"),
    ],
)
def test_wrong_arguments(capsys: pytest.CaptureFixture[str], arguments: Sequence[str], want: str) -> None:
    with pytest.raises(SystemExit) as error:
        command.main(arguments)
    assert error.value.code == 2
    assert want in capsys.readouterr().err


@pytest.mark.parametrize("what", [["ls"], ["verify"], ["gc", "--older-than", "30d"]])
def test_missing_data_volume(tmp_path: Path, capsys: pytest.CaptureFixture[str], what: Sequence[str]) -> None:
    assert command.main([*what, "--data-dir", str(tmp_path / "data"), "--no-runs"]) == 3
    assert f"--data-dir: there is no data volume at {tmp_path}/data" in capsys.readouterr().err


def test_program_knows_the_command(
    world: Any, runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["data", "ls", "--data-dir", str(world.data), "--runs-dir", str(world.runs)]
    monkeypatch.setattr(sys, "argv", ["yolo_trainer", *given])
    assert program.main() == 0
    assert told(capsys).startswith("0 sets")


def test_stamps_are_for_the_group(world: Any) -> None:
    world.many(count=2)
    stamp = stamp_of(train(world))
    assert stat.S_IMODE(stamp.stat().st_mode) == 0o664  # prepare's umask lets others of the group stamp too


@pytest.mark.parametrize(
    ("count", "want"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1_048_570, "1.0 MiB"),
        (5 << 30, "5.0 GiB"),
        (1 << 52, "4096.0 TiB"),
    ],
)
def test_bytes_text(count: int, want: str) -> None:
    assert bytes_text(count) == want


@pytest.mark.parametrize(
    ("seconds", "want"), [(-1, "0 s"), (59.9, "59 s"), (60, "1 min"), (7200, "2 h"), (90_000, "1 d")]
)
def test_span_text(seconds: float, want: str) -> None:
    assert span_text(seconds) == want


@pytest.mark.parametrize(("text", "want"), [("36h", 129_600), ("30d", 2_592_000), ("2w", 1_209_600)])
def test_parse_span(text: str, want: int) -> None:
    assert parse_span(text) == want
