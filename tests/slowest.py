"""The slowest tests of all suites: `python tests/slowest.py REPORT.xml…`, with JUnit reports of pytest."""

import sys
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

COUNT = 10


def slowest(reports: Iterable[Path], count: int = COUNT) -> list[tuple[float, str]]:
    """Seconds (with set-up and tear-down) and names of the slowest tests, the slowest first."""
    cases = (case for report in reports for case in ElementTree.parse(report).iter("testcase"))
    times = [(float(case.get("time", 0)), f"{case.get('classname')}::{case.get('name')}") for case in cases]
    return sorted(times, reverse=True)[:count]


if __name__ == "__main__":
    print(f"The {COUNT} slowest tests:")
    for seconds, name in slowest(map(Path, sys.argv[1:])):
        print(f"  {seconds:6.1f} s  {name}")
