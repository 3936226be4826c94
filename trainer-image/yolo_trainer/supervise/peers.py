"""The connection between the pods of one training: who has come, who lives, who ends and why.

A star of TCP connections to the pod with index 0, JSON lines both ways. What concerns all, that pod hands on.
Ranks' own connections do not tell this: NCCL waits for ever for a peer whose node has died.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Self

from yolo_crds.conditions import Reason
from yolo_crds.listening import bind_all

from ..errors import TrainerError
from ..node import Node

MEETING_SECONDS = 900.0
"""So long the pods wait for each other: a node may have to pull the image first."""
SILENT_SECONDS = 30.0
"""A launcher does little else than to say each second that it lives; who is silent so long is lost."""
_BEAT_SECONDS = 1.0
_TELL_SECONDS = 10.0
_CONNECT_SECONDS = 2.0
_AGAIN_SECONDS = 0.5
_LINE_MOST = 1 << 14
_READS_MOST = 8
"""Reads of one connection before it is the next one's turn, whoever sends without end."""


class Says(StrEnum):
    """What one pod tells another."""

    HELLO = "hello"
    BEGIN = "begin"
    BEAT = "beat"
    STOP = "stop"
    """It was asked to end: all save and leave."""
    GPU_FAILED = "gpu failed"
    """The driver says so of a GPU in its pod; the training goes on as long as it can."""
    FAILED = "failed"
    LEFT = "left"
    """Rank 0 has ended, well or as it was asked to; `code` is its exit code."""
    LOST = "lost"
    """Never said, but concluded: it is silent, or its connection broke."""


_HANDED_ON = frozenset({Says.STOP, Says.GPU_FAILED, Says.FAILED, Says.LEFT})
"""What concerns the launchers themselves, of all pods."""


@dataclass(frozen=True)
class Word:
    """`node` is whose word it is, also where it was handed on."""

    says: Says
    node: int
    text: str = ""
    code: int = 0
    token: str = ""

    def to_line(self) -> bytes:
        """As it is sent."""
        return json.dumps(self.__dict__).encode() + b"\n"


def parse_word(line: bytes) -> Word | None:
    """None for anything but a word."""
    try:
        found = json.loads(line)
        return Word(
            Says(found["says"]),
            int(found["node"]),
            str(found["text"]),
            int(found["code"]),
            str(found["token"]),
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


@dataclass(eq=False)
class _Line:
    """One connection; `node` is None until the other side has said who it is."""

    socket: socket.socket
    heard: float
    node: int | None = None
    rest: bytes = b""
    broken: bool = False
    spoken: bool = field(default=False)
    """It has said how it ends: that its connection breaks is no news."""

    def read(self, now: float) -> list[Word]:
        found = []
        with contextlib.suppress(BlockingIOError):
            for _ in range(_READS_MOST):
                if self.broken:
                    break
                try:
                    data = self.socket.recv(1 << 16)
                except BlockingIOError:
                    raise
                except OSError:
                    data = b""
                self.broken = not data
                *lines, self.rest = (self.rest + data).split(b"\n")
                self.broken |= len(self.rest) > _LINE_MOST
                found += [word for line in lines if (word := parse_word(line))]
                self.heard = now if data else self.heard
        return found

    def write(self, word: Word) -> None:
        with contextlib.suppress(OSError):  # who does not read is found silent
            self.socket.send(word.to_line())


class Peers:
    """The other pods, as one of them sees them. A context: without it no port is open.

    Entering it raises TrainerError where the first pod cannot listen.
    """

    def __init__(
        self,
        node: Node,
        port: int,
        tell: Callable[[str], None],
        *,
        meeting_seconds: float = MEETING_SECONDS,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        self._node = node
        self._port = port
        self._tell = tell
        self._meeting_seconds, self._silent_seconds = meeting_seconds, silent_seconds
        self._server: socket.socket | None = None
        self._lines: list[_Line] = []
        self.have_met = False
        """All pods are there, and know it."""
        self._began = self._beaten = self._tried = self._told = 0.0

    def __enter__(self) -> Self:
        self._began = self._told = time.monotonic()
        if self._node.leads:
            try:
                self._server = _listen(self._port)
            except OSError as error:
                message = f"cannot listen on port {self._port} for the other pods: {error.strerror}"
                raise TrainerError(Reason.TRAINING_FAILED, message) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for line in self._lines:
            with contextlib.suppress(OSError):
                line.socket.shutdown(socket.SHUT_WR)  # what was said arrives, whatever was left unread
            line.socket.close()
        if self._server:
            self._server.close()

    def say(self, says: Says, text: str = "", code: int = 0) -> None:
        """Tells all others, by way of the first pod."""
        self._send(Word(says, self._node.index, text, code, self._node.token))

    def hear(self, now: float) -> Iterator[Word]:
        """What the others said since the last time that matters; also accepts, connects and beats."""
        if not self.have_met:
            yield from self._meet(now)
        for line in list(self._lines):
            for word in line.read(now):
                if self._is_for_us(line, word):
                    line.spoken |= word.says in {Says.FAILED, Says.LEFT}
                    if self._node.leads:
                        self._send(word, but=line)
                    yield word
            yield from self._judge(line, now)
        if now - self._beaten >= _BEAT_SECONDS:
            self._beaten = now
            self.say(Says.BEAT)

    def _is_for_us(self, line: _Line, word: Word) -> bool:
        if word.token != self._node.token:
            line.broken = True  # another training's, or another attempt's
            return False
        if word.says is Says.HELLO and self._node.leads:
            line.node = word.node
        if word.says is Says.BEGIN and not self._node.leads:
            self.have_met = True
        return line.node is not None and word.says in _HANDED_ON

    def _judge(self, line: _Line, now: float) -> Iterator[Word]:
        silent = now - line.heard
        if not line.broken and silent < self._silent_seconds:
            return
        self._lines.remove(line)
        line.socket.close()
        if line.node is None or not self.have_met or line.spoken:
            return
        how = "its connection broke" if line.broken else f"it has been silent for {silent:.0f} s"
        word = Word(Says.LOST, line.node, f"pod {line.node} was lost: {how}", 0, self._node.token)
        self._send(Word(Says.FAILED, line.node, word.text, 0, word.token))
        yield word

    def _meet(self, now: float) -> Iterator[Word]:
        if self._node.leads:
            self._accept(now)
            here = {line.node for line in self._lines} - {None}
            missing = sorted({*range(1, self._node.count)} - here)
            if not missing:
                self.have_met = True
                self.say(Says.BEGIN)
                return
            awaited = f"{'pod' if len(missing) == 1 else 'pods'} {', '.join(map(str, missing))}"
        else:
            if not self._lines and now - self._tried >= _AGAIN_SECONDS:
                self._connect()
                self._tried = time.monotonic()
            awaited = "pod 0" if not self._lines else "the other pods"
        waited = now - self._began
        if waited >= self._meeting_seconds:
            text = f"{awaited} did not come within {self._meeting_seconds:.0f} s"
            where = "" if self._node.leads else f" ({self._node.rendezvous}, port {self._port})"
            yield Word(Says.LOST, 0, text + where, 0, self._node.token)
        elif now - self._told >= _TELL_SECONDS:
            self._told = now
            self._tell(f"waiting for {awaited}, for {waited:.0f} s now")

    def _accept(self, now: float) -> None:
        assert self._server is not None
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                connection.setblocking(False)
                self._lines.append(_Line(connection, now))

    def _connect(self) -> None:
        """One try; the name may not be known yet, the pod not be there."""
        with contextlib.suppress(OSError, UnicodeError):
            connection = socket.create_connection((self._node.rendezvous, self._port), _CONNECT_SECONDS)
            connection.setblocking(False)
            self._lines.append(_Line(connection, time.monotonic(), node=0))
            self.say(Says.HELLO)

    def _send(self, word: Word, but: _Line | None = None) -> None:
        for line in self._lines:
            if line is not but and line.node is not None:
                line.write(word)


def _listen(port: int) -> socket.socket:
    """On all addresses of the pod."""
    server = bind_all(port)
    server.listen()
    server.setblocking(False)
    return server
