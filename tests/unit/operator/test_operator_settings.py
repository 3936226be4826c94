"""Settings come from the environment, are checked, and are described."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from yolo_crds.trainer import Fetch
from yolo_operator.settings import Settings

NEEDED = {"TRAINER_IMAGE": "trainer:1", "DATA_CLAIM": "d", "RUNS_CLAIM": "r"}


def _set(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"YOLO_OPERATOR_{name}", value)


def test_settings_read_lists_and_maps_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(
        monkeypatch,
        **NEEDED,
        NAMESPACES='["a", "b"]',
        NODE_SELECTOR='{"disk": "ssd"}',
        TOLERATIONS='[{"key": "gpu", "operator": "Exists", "tolerationSeconds": 5}]',
        IMAGE_PULL_SECRETS='["s"]',
        FETCH='{"archives": true, "archiveHosts": ["*.example.org"]}',
    )
    settings = Settings()
    assert settings.namespaces == ["a", "b"]
    assert settings.node_selector == {"disk": "ssd"}
    assert settings.tolerations[0].toleration_seconds == 5
    assert settings.image_pull_secrets == ["s"]
    assert settings.fetch == Fetch(archives=True, archive_hosts=["*.example.org"])


def test_settings_are_frozen_and_described(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, **NEEDED)
    with pytest.raises(ValidationError):
        Settings().log_level = "DEBUG"  # type: ignore[misc]
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_main_names_the_setting_that_is_missing() -> None:
    done = subprocess.run([sys.executable, "-m", "yolo_operator"], env={}, capture_output=True, text=True)
    assert done.returncode == 2
    assert "YOLO_OPERATOR_TRAINER_IMAGE: Field required" in done.stderr
    assert "Traceback" not in done.stderr


def test_main_names_the_part_of_a_setting_that_is_wrong() -> None:
    env = {f"YOLO_OPERATOR_{name}": value for name, value in NEEDED.items()}
    env["YOLO_OPERATOR_FETCH"] = '{"ucdServer": "ucd:8080"}'
    done = subprocess.run([sys.executable, "-m", "yolo_operator"], env=env, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("YOLO_OPERATOR_FETCH.ucdServer: String should match pattern")


def test_main_says_how_a_list_is_given() -> None:
    env = {f"YOLO_OPERATOR_{name}": value for name, value in NEEDED.items()}
    env["YOLO_OPERATOR_NAMESPACES"] = "a,b"
    done = subprocess.run([sys.executable, "-m", "yolo_operator"], env=env, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith('error parsing value for field "namespaces"')
    assert done.stderr.endswith("lists and maps are given as JSON\n")
