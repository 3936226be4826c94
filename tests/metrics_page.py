"""The tables of docs/metrics.md, as tests compare them with what the programs tell."""

import re
from dataclasses import dataclass
from pathlib import Path

GPU_LABELS = ("gpu", "UUID", "modelName", "Hostname", "namespace", "pod", "container")
"""What the page means by «of the GPU»."""


@dataclass(frozen=True)
class ListedMetric:
    """A row: a metric of the page."""

    name: str
    labels: frozenset[str]
    example: str
    """PromQL."""


def read_page(page: Path) -> list[ListedMetric]:
    """All rows of the tables that begin with a metric's name."""
    found = []
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 4 and (name := re.fullmatch(r"`(\w+)`", cells[0])):
            labels = GPU_LABELS if cells[1] == "of the GPU" else re.findall(r"`(\w+)`", cells[1])
            example = cells[3].strip("`").replace("\\|", "|")
            found.append(ListedMetric(name[1], frozenset(labels), example))
    return found
