"""A configuration of any length, in variables that Linux takes."""

import os
import subprocess
import sys

import pytest

from yolo_crds.config_env import PART_MAX_BYTES, join_config, split_config, with_config
from yolo_crds.meta import CONFIG_ENV

MAX_ARG_STRLEN = 32 * 4096


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "a" * PART_MAX_BYTES,
        "a" * (PART_MAX_BYTES + 1),
        "仓库" * 90_000,
        "😀" * 90_000,
        "é" + "a" * 500_000,
    ],
    ids=len,
)
def test_what_is_split_is_joined_again_and_fits(text: str) -> None:
    variables = split_config(text)
    assert join_config({"OTHER": "x"} | variables) == text
    assert all(len(f"{name}={part}".encode()) < MAX_ARG_STRLEN for name, part in variables.items())


def test_a_short_configuration_is_one_variable() -> None:
    assert split_config('{"a": 1}') == {CONFIG_ENV: '{"a": 1}'}
    assert join_config({}) == ""


def test_a_long_one_reaches_another_process() -> None:
    text = "仓" * 400_000  # more than 1,000 labels of 128 characters of any script need
    command = [
        sys.executable,
        "-c",
        "import os; from yolo_crds.config_env import join_config; print(len(join_config(os.environ)))",
    ]
    env = with_config(os.environ, text)
    assert int(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout) == len(
        text
    )


def test_with_config_leaves_nothing_of_a_longer_one() -> None:
    environment = with_config({"HOME": "/tmp"}, "x" * 300_000)
    assert len(environment) == 4
    assert with_config(environment, "{}") == {"HOME": "/tmp", CONFIG_ENV: "{}"}
