"""What nvidia-smi tells of the GPUs, to hold against the agent's report."""

import csv
import subprocess
from dataclasses import dataclass

_FIELDS = ("index", "uuid", "name", "memory.used", "memory.total")


@dataclass(frozen=True)
class Card:
    """A GPU. Memory in MiB, rounded as nvidia-smi does."""

    index: int
    uuid: str
    name: str
    memory_used: int
    memory_total: int


def ask_cards() -> list[Card]:
    """The machine's GPUs."""
    return parse_cards(_query("--query-gpu", *_FIELDS))


def ask_processes() -> set[tuple[str, int]]:
    """UUID and process id of what computes."""
    return parse_processes(_query("--query-compute-apps", "gpu_uuid", "pid"))


def parse_cards(text: str) -> list[Card]:
    """The answer to `--query-gpu` of `_FIELDS`, without header and units."""
    rows = csv.reader(text.splitlines(), skipinitialspace=True)
    return [Card(int(i), uuid, name, int(used), int(total)) for i, uuid, name, used, total in rows]


def parse_processes(text: str) -> set[tuple[str, int]]:
    """The answer to `--query-compute-apps=gpu_uuid,pid`."""
    return {(uuid, int(pid)) for uuid, pid in csv.reader(text.splitlines(), skipinitialspace=True)}


def _query(what: str, *fields: str) -> str:
    command = ["nvidia-smi", f"{what}={','.join(fields)}", "--format=csv,noheader,nounits"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
