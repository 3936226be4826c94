"""Helm commands of the documentation that no test types: the chart takes their values."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from chart.rendering import REPOSITORY, Chart
from pages import read_blocks

pytestmark = pytest.mark.chart

PAGES = [
    *(REPOSITORY / "docs").glob("*.md"),
    REPOSITORY / "README.md",
    REPOSITORY / "charts/yolo-operator/README.md",
]
NOT_OF_TEMPLATE = {
    "--wait",
    "--reset-then-reuse-values",
    "--reuse-values",
    "--dry-run=server",
    "--create-namespace",
}


def _commands() -> Iterator[tuple[str, list[str]]]:
    """Page and line, and the arguments behind `helm install` or `upgrade`."""
    for page in PAGES:
        for block in read_blocks(page.read_text(encoding="utf-8")):
            if block.is_shell and block.mark != "run":
                for line in block.text.replace("\\\n", " ").splitlines():
                    if found := re.match(r"helm (?:install|upgrade) (.+)", line):
                        words = shlex.split(re.sub(r"\$\w+", "value", found[1]), comments=True)
                        yield f"{page.name}:{block.line}", words


@pytest.mark.parametrize(("where", "words"), [pytest.param(*found, id=found[0]) for found in _commands()])
def test_chart_takes_the_values_that_a_page_sets(chart: Chart, where: str, words: list[str]) -> None:
    release, folder, *options = [word for word in words if word not in NOT_OF_TEMPLATE]
    for name in ("-n", "--namespace"):
        if name in options:
            del options[options.index(name) : options.index(name) + 2]
    done = chart.run("template", release, str(REPOSITORY / folder), *options)
    assert done.returncode == 0, f"{where}: {done.stderr}"


def test_files_that_pages_build_from_are_there() -> None:
    named = {
        path
        for page in PAGES
        for path in re.findall(r"docker build -f (\S+)", page.read_text(encoding="utf-8"))
    }
    assert named
    assert [path for path in named if not Path(REPOSITORY / path).is_file()] == []
