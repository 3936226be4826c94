"""A checkpoint on its way to a client."""

import asyncio
from pathlib import Path

import pytest
from starlette.types import Message

from yolo_api.downloads import OpenFileResponse


@pytest.mark.parametrize(
    ("asked", "want"), [("", b"x" * 100), ("bytes=90-", b"x" * 10), ("bytes=0-9", b"x" * 10)]
)
def test_of_a_file_that_grows_meanwhile_as_much_is_sent_as_was_promised(
    tmp_path: Path, asked: str, want: bytes
) -> None:
    path = tmp_path / "best.pt"
    path.write_bytes(b"x" * 100)
    response = OpenFileResponse(path.open("rb"), "best.pt")
    with path.open("ab") as file:
        file.write(b"y" * 200_000)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    headers = [(b"range", asked.encode())] if asked else []
    asyncio.run(response({"type": "http", "method": "GET", "headers": headers}, receive, send))
    start, *bodies = sent
    assert b"".join(body["body"] for body in bodies) == want
    assert dict(start["headers"])[b"content-length"] == str(len(want)).encode()
    assert [body["more_body"] for body in bodies[-1:]] == [False]
