"""What torch, CUDA, cuDNN, NCCL, gloo, Ultralytics and the kernel print, classed by cause.

Each row is a text as somebody saw it or as the library's source prints it, the pattern that knows it again,
and where it is from (project#issue, or a source file). The words often name another thing than the cause:
what counts is what mended it for those who met it. The first cause that knows a text decides, so narrow ones
come first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from yolo_crds.conditions import Reason
from yolo_crds.trainer import ExitCode


@dataclass(frozen=True)
class Text:
    """One text, and who saw it."""

    pattern: str
    """Regular expression; case does not count, and `.` also stands for a line break."""
    example: str
    source: str


@dataclass(frozen=True)
class Cause:
    """What stands behind some texts."""

    reason: Reason
    exit_code: ExitCode
    texts: tuple[Text, ...]
    hint: str | None = None
    """Where the reason's own would lead astray."""
    secondhand: bool = False
    """What is told is the end of another process, whose own word says more."""
    prefix: str = ""
    """Goes before the text in the message."""
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        joined = "|".join(text.pattern for text in self.texts)
        object.__setattr__(self, "_pattern", re.compile(joined, re.IGNORECASE | re.DOTALL))

    def knows(self, text: str) -> bool:
        """Whether one of its patterns is found in `text`."""
        return self._pattern.search(text) is not None
