"""The generated CustomResourceDefinition and the files beside it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from yolo_crds.base import Model
from yolo_crds.conditions import HINTS, RETRYABLE, Reason
from yolo_crds.generate import build_crd, build_files, main
from yolo_crds.reasons_page import build_reasons_page
from yolo_crds.structural import ANYTHING, INT_OR_STRING, structural_schema
from yolo_crds.training import YoloTraining

ROOT = Path(__file__).resolve().parents[3]
# Reasons of a run on its way or at a good end: nothing to be done about them.
_NO_HINT = {
    Reason.ACCEPTED,
    Reason.PREPARING,
    Reason.DATA_PREPARED,
    Reason.QUEUED,
    Reason.ADMITTED,
    Reason.STARTING,
    Reason.TRAINING,
    Reason.RESTARTING,
    Reason.SUSPENDED_BY_USER,
    Reason.SUCCEEDED,
    Reason.STOPPED_BY_USER,
}


def _nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from _nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from _nodes(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _nodes(schema["additionalProperties"], f"{path}{{}}")


def _schema() -> dict[str, Any]:
    schema = build_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert isinstance(schema, dict)
    return schema


def test_build_crd_is_structural() -> None:
    unions = {"$ref", "patternProperties", "anyOf", "allOf", "oneOf", "title", "propertyNames"}
    for path, node in _nodes(_schema()):
        if node.get(INT_OR_STRING):
            # This very form, and no type beside it, is what the API server knows.
            assert node["anyOf"] == [{"type": "integer"}, {"type": "string"}], path
            assert not (unions | {"type"}) - {"anyOf"} & set(node), path
            continue
        assert isinstance(node.get("type"), str) or node.get(ANYTHING), path
        assert not unions & set(node), path


def test_quantities_are_numbers_or_texts_everywhere() -> None:
    resources = _schema()["properties"]["spec"]["properties"]["template"]["properties"]["resources"]
    found = {name for name, node in resources["properties"].items() if node.get(INT_OR_STRING)}
    assert found == {"cpu", "cpuLimit", "memory", "sharedMemory", "cacheStorage"}


def test_build_crd_describes_each_spec_field() -> None:
    spec = _schema()["properties"]["spec"]
    bare = [path for path, node in _nodes(spec, "spec") if "." in path and "description" not in node]
    assert [path for path in bare if not path.endswith(("[]", "{}")) and "tolerations[]" not in path] == []


def test_build_crd_bounds_each_spec_string_list_and_map() -> None:
    for path, node in _nodes(_schema()["properties"]["spec"], "spec"):
        kind = "quantity" if INT_OR_STRING in node else node.get("type", "anything")
        if kind in ("string", "quantity", "anything"):
            assert "maxLength" in node or "enum" in node, path
        if kind in ("array", "anything"):
            assert "maxItems" in node, path
        if kind in ("integer", "number", "quantity") and not path.endswith("{}"):
            assert {"minimum", "maximum"} <= set(node), path


def test_build_files_are_committed_as_generated(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", str(ROOT)]) == 0, capsys.readouterr().err


def test_main_writes_and_then_agrees(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", str(tmp_path)]) == 1
    assert "make generate" in capsys.readouterr().err
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(
        build_files(tmp_path)
    )


def test_reasons_page_names_the_tests_that_make_a_reason_happen(tmp_path: Path) -> None:
    (tmp_path / "tests/e2e").mkdir(parents=True)
    (tmp_path / "tests/e2e/test_some.py").write_text("assert Reason.HUNG in told or 'Fenced'")
    rows = build_reasons_page(tmp_path).splitlines()
    named = [row.split("`")[1] for row in rows if row.endswith("| real nodes: `test_some` |")]
    assert named == ["Hung", "Fenced"]


def test_structural_schema_refuses_a_union() -> None:
    class Odd(Model):
        value: int | list[str] = Field(default=0)

    with pytest.raises(ValueError, match="one type"):
        structural_schema(Odd)


def test_hints_cover_every_reason_that_needs_one() -> None:
    assert set(Reason) - set(HINTS) == _NO_HINT
    assert set(HINTS) >= RETRYABLE


def test_training_refuses_an_unknown_spec_field() -> None:
    spec = {"template": {"model": "yolo11n.yaml", "data": {"train": "a"}, "epohcs": 3}}
    with pytest.raises(ValueError, match="epohcs"):
        YoloTraining.model_validate({"metadata": {"name": "ab"}, "spec": spec})
