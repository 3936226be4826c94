"""The documentation's shell blocks, as tests run them: what a page tells people to type is what is run.

The line above a fenced block says what it is:

    <!-- yours -->             assignments that a reader adapts; a test may give other values
    <!-- run -->               typed as it stands, in one shell with the page's other blocks
    <!-- shows -->             what the block before it prints; `…` stands for anything, blanks count as one
    <!-- not run: why -->      shown only

A comment `<!-- happens: COMMAND -->` that stands alone is run too: what befalls the reader there.
"""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SHELL_LANGUAGES = frozenset({"", "sh", "bash", "shell", "console"})
_FENCE = re.compile(r"^```(?P<language>\S*)")
_MARK = re.compile(r"^<!-- (?P<mark>.+) -->$")
_EVENT = re.compile(r"^<!-- happens: (?P<command>.+) -->$")
_ASSIGNMENT = re.compile(r"^(?P<name>[A-Z_]+)=(?P<value>\S*)")
ANYTHING = "…"


class PageError(AssertionError):
    """A block that failed, or showed something else: page, line, and what it printed."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    line: int
    """Of its fence, counted from 1."""
    language: str
    mark: str
    """What the comment above it says, or nothing."""
    text: str

    @property
    def is_shell(self) -> bool:
        return self.language in SHELL_LANGUAGES


def read_blocks(page: str) -> list[Block]:
    """The fenced blocks of a page in its order. Fences that are indented are text of a list, and none."""
    blocks: list[Block] = []
    lines = page.splitlines()
    opened: tuple[int, str, str] | None = None
    for number, line in enumerate(lines, 1):
        if opened is None and (fence := _FENCE.match(line)):
            mark = _MARK.match(lines[number - 2]) if number > 1 else None
            opened = number, fence["language"], mark["mark"] if mark else ""
        elif opened is None and (event := _EVENT.match(line)):
            blocks.append(Block(number, "sh", "run", event["command"]))
        elif opened is not None and line.startswith("```"):
            first, language, said = opened
            blocks.append(Block(first, language, said, "\n".join(lines[first : number - 1])))
            opened = None
    return blocks


def read_assignments(block: Block) -> dict[str, str]:
    """Name → value of a block that is `yours`. Raises PageError for lines that are anything else."""
    found = {}
    for line in block.text.splitlines():
        match = _ASSIGNMENT.match(line)
        if match is None:
            raise PageError(f"line {block.line}: {line!r} is no assignment NAME=value")
        found[match["name"]] = match["value"]
    return found


def adapt(text: str, page: str, values: Mapping[str, str]) -> str:
    """A text of the page with the reader's values in place of those that the page assigns."""
    for block in read_blocks(page):
        if block.mark == "yours":
            for name, value in read_assignments(block).items():
                whole = rf"(?<![\w.-]){re.escape(value)}(?![\w-])"
                text = re.sub(whole, values.get(name, value), text)
    return text


def matches(shown: str, printed: str) -> bool:
    """Whether the output is what the page shows."""
    pattern = "".join(
        ".*?" if part == ANYTHING else re.escape(part) for part in re.split(f"({ANYTHING})", _even(shown))
    )
    return re.fullmatch(pattern, _even(printed), re.DOTALL) is not None


def _even(text: str) -> str:
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())


def run_page(
    page: Path, folder: Path, environment: Mapping[str, str], values: Mapping[str, str], seconds: float
) -> None:
    """Type the page's blocks into one bash, which stops at the first failure, and compare what they show.

    folder: the working directory. values: for names that a block `yours` assigns.
    Raises PageError, also when it takes longer than `seconds`.
    """
    text = page.read_text(encoding="utf-8")
    blocks = [block for block in read_blocks(text) if block.mark in {"yours", "run", "shows"}]
    with tempfile.TemporaryDirectory() as outputs:
        script = ["set -euo pipefail"]
        for block in blocks:
            if block.mark != "shows":
                printed = shlex.quote(f"{outputs}/{block.line}")
                script += [f"exec >{printed}.out 2>{printed}.err", _typed(block, values)]
        process = subprocess.Popen(
            ["bash", "-c", "\n".join(script)],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            code: int | str = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = f"nothing after {seconds:.0f} s"
        finally:
            _end(process)
        _judge(page, blocks, Path(outputs), text, values, code)


def _typed(block: Block, values: Mapping[str, str]) -> str:
    if block.mark == "run":
        return block.text
    wanted = {name: values.get(name, value) for name, value in read_assignments(block).items()}
    return "\n".join(f"{name}={value}" for name, value in wanted.items())


def _end(process: "subprocess.Popen[bytes]") -> None:
    """The shell and what it left in the background, such as a port-forward."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _judge(
    page: Path,
    blocks: list[Block],
    outputs: Path,
    text: str,
    values: Mapping[str, str],
    code: int | str,
) -> None:
    last, printed = 0, ""
    for block in blocks:
        where = f"{page.name}:{block.line}"
        if block.mark == "shows":
            wanted = adapt(block.text, text, values)
            if not matches(wanted, printed):
                raise PageError(f"{where} shows\n{wanted}\n\nbut line {last} printed\n{printed}")
            continue
        out, error = outputs / f"{block.line}.out", outputs / f"{block.line}.err"
        following = [b for b in blocks if b.line > block.line and b.mark != "shows"]
        begun = bool(following) and (outputs / f"{following[0].line}.out").exists()
        if code != 0 and not begun:
            said = error.read_text(encoding="utf-8") if error.exists() else ""
            there = out.read_text(encoding="utf-8") if out.exists() else ""
            raise PageError(f"{where} ended with {code}:\n{block.text}\n\n{there}\n{said}")
        last, printed = block.line, out.read_text(encoding="utf-8")
