"""JSON as a stream: the same as `json` reads, wherever the window cuts it, and faults with their place."""

import json
from pathlib import Path
from typing import Any

import pytest

from yolo_trainer.data import json_stream
from yolo_trainer.data.json_file import read_json_object, read_outline, stream_json
from yolo_trainer.errors import InvalidDataError

CONTENT = {
    "info": {"year": 2024, "nested": [{"a": [1, 2]}], "text": 'a "quoted" [bracket] \\'},
    "numbers": [1, -2.5, 1e3, 123456789, 0],
    "texts": ["", "é", "日本", "\U0001f600", "line\nbreak"],
    "empty": [],
    "none": {},
    "members": {"x": [1], "y": {"z": None}, "": True},
    "scalar": 42,
}


def streamed(path: Path, *keys: str) -> list[tuple[str, int | str, Any]]:
    return list(stream_json(path, keys))


@pytest.mark.parametrize("window", [1, 2, 7, 64, 1 << 20])
@pytest.mark.parametrize("indent", [None, 2])
def test_stream_gives_what_json_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int, indent: int | None
) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK_BYTES", window)
    path = tmp_path / "a.json"
    path.write_text("\ufeff" + json.dumps(CONTENT, ensure_ascii=False, indent=indent) + " \n", "utf-8")
    want = [
        *(("numbers", i, value) for i, value in enumerate([1, -2.5, 1e3, 123456789, 0])),
        *(("texts", i, value) for i, value in enumerate(["", "é", "日本", "\U0001f600", "line\nbreak"])),
        *(("members", name, value) for name, value in {"x": [1], "y": {"z": None}, "": True}.items()),
    ]
    assert streamed(path, "texts", "numbers", "members", "empty", "none", "scalar", "missing") == want


@pytest.mark.parametrize("window", [1, 64])
def test_outline_has_containers_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK_BYTES", window)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(CONTENT))
    want = {"info": {}, "numbers": [], "texts": [], "empty": [], "none": {}, "members": {}, "scalar": 42}
    assert read_outline(path, lambda _: False) == want
    assert read_outline(path, lambda so_far: "texts" in so_far) == {"info": {}, "numbers": [], "texts": []}


def test_stream_ends_with_the_last_wanted_key(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": [1, 2], "b": [} broken')
    assert streamed(path, "a") == [("a", 0, 1), ("a", 1, 2)]


@pytest.mark.parametrize("window", [1, 1 << 20])
@pytest.mark.parametrize(
    ("text", "want"),
    [
        ('{"a": [1, 2', "Expecting ',' delimiter: line 1 column 12"),
        ('{"a": [1 2]}', "Expecting ',' delimiter: line 1 column 10"),
        ('{"a": [1,\n {"b": tru}]}', "Expecting value: line 2 column 8"),
        ('{"a": [1,]}', "Expecting value: line 1 column 10"),
        ('{"a" [1]}', "Expecting ':' delimiter: line 1 column 6"),
        ('{"a": [1], }', "Expecting property name .*: line 1 column 12"),
        ('{"a": ["open]}', "Unterminated string .*: line 1 column 8"),
        ('{"c": 1, "a": [1],\n}', "Expecting property name .*: line 2 column 1"),
        ('{"b": 1}\n{"a": [1]}', r"more follows .*JSON lines \(.jsonl\) are not read.*: line 2 column 1"),
        ("<html>", "it starts with '<'"),
        ("{", "Expecting property name .*: line 1 column 2"),
        ('{"b": ' + "[" * 200_000, "nested too deep, recursion: line 1 column"),
    ],
)
def test_faults_are_told_with_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int, text: str, want: str
) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK_BYTES", window)
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(InvalidDataError, match=rf"a\.json is not JSON: {want}"):
        streamed(path, "a")


@pytest.mark.parametrize("window", [1, 5, 1 << 20])
def test_bytes_that_are_no_text_are_told_with_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK_BYTES", window)
    path = tmp_path / "a.json"
    path.write_bytes('{"b": "ä",\n "a": ["Stra'.encode() + "ße".encode("latin-1") + b'"]}')
    want = r"a\.json is not JSON: no UTF-8 \(byte 0xdf\): line 2 column 13"
    with pytest.raises(InvalidDataError, match=want) as error:
        streamed(path, "a")
    assert error.value.hint == "save the file as UTF-8, then raise spec.run"


def test_utf_16_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes('{"a": [1]}'.encode("utf-16"))
    with pytest.raises(InvalidDataError, match=r"a\.json is text in UTF-16; want UTF-8"):
        streamed(path, "a")
    with pytest.raises(InvalidDataError, match=r"a\.json is text in UTF-16; want UTF-8"):
        read_json_object(path)


def test_other_bytes_and_other_values_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'{"a": ["\xff"]}')
    with pytest.raises(InvalidDataError, match=r"a\.json is not JSON: no UTF-8"):
        streamed(path, "a")
    for text, kind in (("[1]", "list"), ('"a"', "str"), ("7", "number"), ("null", "NoneType")):
        path.write_text(text)
        with pytest.raises(InvalidDataError, match=f"is no data set: a JSON {kind}, not an object"):
            streamed(path, "a")


def test_an_element_has_a_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "_CHUNK_BYTES", 16)
    monkeypatch.setattr(json_stream, "MAX_ELEMENT", 64)
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"a": ["x" * 40, "y" * 400]}))
    with pytest.raises(InvalidDataError, match="Unterminated string"):
        streamed(path, "a")
