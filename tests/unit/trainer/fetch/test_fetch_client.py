"""Downloads over bad networks, against real servers: nothing of an unfinished one is ever trusted."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from scripted_server import Reply, Request, ScriptedServer, ranged
from ucd_server import serving
from yolo_trainer.fetch.client import (
    Client,
    Download,
    NoAnswerError,
    NotServedError,
    Patience,
    Resource,
    TooLargeError,
)
from yolo_trainer.fetch.part import Part, Version

BODY = bytes(range(256)) * 4096  # 1 MiB
PATIENCE = Patience(connect=5, read=5, attempts=3, backoff=0.01)
ETAG = {"ETag": '"1"'}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    found = ScriptedServer()
    with serving(found):
        yield found


@pytest.fixture
def pool() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(retries=False, timeout=PATIENCE.timeout) as found:
        yield found


class Fetch:
    """Downloads `/file` of a server into a part."""

    def __init__(self, server: ScriptedServer, pool: urllib3.PoolManager, path: Path) -> None:
        self.path = path
        self.client = Client(PATIENCE)
        self.resource = Resource(
            f"{server.url}/file",
            lambda headers: pool.request("GET", f"{server.url}/file", headers=headers, preload_content=False),
        )

    def __call__(self, limit: int = 1 << 30, known: Version | None = None) -> tuple[Download, bytes]:
        with Part(self.path, kept=True) as part:
            found = self.client.download(self.resource, part, limit, known)
            return found, part.finish().read_bytes()


@pytest.fixture
def fetch(server: ScriptedServer, pool: urllib3.PoolManager, tmp_path: Path) -> Fetch:
    return Fetch(server, pool, tmp_path / "x.part")


def test_download_introduces_itself(server: ScriptedServer, fetch: Fetch) -> None:
    server.scripts["/file"] = Reply(BODY)
    assert fetch()[1] == BODY
    assert server.requests[0].headers["User-Agent"].startswith("yolo-operator")


def test_cut_connection_is_resumed_where_it_broke(server: ScriptedServer, fetch: Fetch) -> None:
    whole = ranged(BODY)

    def cut_once(request: Request) -> Reply:
        return Reply(BODY, headers=ETAG, cut=300_000) if len(server.requests) == 1 else whole(request)

    server.scripts["/file"] = cut_once
    assert fetch()[1] == BODY
    assert server.requests[1].headers["Range"] == "bytes=300000-"
    assert server.requests[1].headers["If-Range"] == '"1"'


def test_file_that_changed_meanwhile_comes_whole(server: ScriptedServer, fetch: Fetch) -> None:
    new = BODY[::-1]
    server.scripts["/file"] = [Reply(BODY, headers=ETAG, cut=300_000), Reply(new, headers={"ETag": '"2"'})]
    assert fetch()[1] == new


@pytest.mark.parametrize(
    "wrong",
    [
        Reply(BODY[5:], 206, {**ETAG, "Content-Range": f"bytes 5-{len(BODY) - 1}/{len(BODY)}"}),
        Reply(
            BODY[300_000:],
            206,
            {"ETag": '"2"', "Content-Range": f"bytes 300000-{len(BODY) - 1}/{len(BODY)}"},
        ),
        Reply(BODY[300_000:], 206, ETAG),
        Reply(b"", 416),
    ],
    ids=["other range", "other version", "no range", "not satisfiable"],
)
def test_wrong_part_is_never_appended(server: ScriptedServer, fetch: Fetch, wrong: Reply) -> None:
    server.scripts["/file"] = [Reply(BODY, headers=ETAG, cut=300_000), wrong, Reply(BODY, headers=ETAG)]
    assert fetch()[1] == BODY


def test_without_a_version_a_broken_download_starts_anew(server: ScriptedServer, fetch: Fetch) -> None:
    server.scripts["/file"] = [Reply(BODY, cut=300_000), Reply(BODY)]
    assert fetch()[1] == BODY
    assert "Range" not in server.requests[1].headers


def test_download_goes_on_in_the_next_process(server: ScriptedServer, fetch: Fetch) -> None:
    server.scripts["/file"] = Reply(BODY, headers=ETAG, cut=300_000)
    with pytest.raises(NoAnswerError, match=r"broke off \(3 times\)"):
        fetch()
    assert fetch.path.stat().st_size > 0
    server.scripts["/file"] = ranged(BODY)
    before = len(server.requests)
    assert fetch()[1] == BODY
    assert server.requests[before].headers["Range"] == "bytes=300000-"


def test_bytes_beyond_the_note_are_not_trusted(server: ScriptedServer, fetch: Fetch) -> None:
    """A power cut leaves a file longer than what is known to be on the disk, with zeros at its end."""
    server.scripts["/file"] = ranged(BODY)
    fetch.path.write_bytes(BODY[:1000] + bytes(5000))
    note = {"origin": fetch.resource.shown, "bytes": 1000, "etag": '"1"', "modified": None}
    fetch.path.with_name("x.part.note").write_text(json.dumps(note))
    assert fetch()[1] == BODY
    assert server.requests[0].headers["Range"] == "bytes=1000-"


@pytest.mark.parametrize(
    "note",
    [
        "",
        "{",
        "[]",
        '{"bytes": 9999999, "etag": "\\"1\\"", "modified": null, "origin": "ORIGIN"}',
        '{"bytes": 1000, "etag": null, "modified": null, "origin": "ORIGIN"}',
        '{"bytes": 1000, "etag": "W/\\"1\\"", "modified": null, "origin": "ORIGIN"}',
        '{"bytes": 1000, "etag": "\\"1\\"", "modified": null, "origin": "http://other/file"}',
    ],
)
def test_part_without_a_sound_note_starts_anew(server: ScriptedServer, fetch: Fetch, note: str) -> None:
    server.scripts["/file"] = ranged(BODY)
    fetch.path.write_bytes(b"x" * 2000)
    fetch.path.with_name("x.part.note").write_text(note.replace("ORIGIN", fetch.resource.shown))
    assert fetch()[1] == BODY
    assert "Range" not in server.requests[0].headers


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_passing_faults_are_retried(server: ScriptedServer, fetch: Fetch, status: int) -> None:
    server.scripts["/file"] = [Reply(b"busy", status), Reply(BODY)]
    assert fetch()[1] == BODY


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 410, 501])
def test_final_answers_are_not_retried(server: ScriptedServer, fetch: Fetch, status: int) -> None:
    server.scripts["/file"] = Reply(b"no", status)
    with pytest.raises(NotServedError, match=f"HTTP {status}"):
        fetch()
    assert len(server.requests) == 1


class Waits:
    """Stands for the pause between attempts: notes how long it would be."""

    def __init__(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds: list[float] = []
        monkeypatch.setattr(client._stopped, "wait", self.seconds.append)


@pytest.mark.parametrize(("text", "want"), [("7", 7.0), ("0", 0.0), ("Thu, 01 Jan 2026 00:00:00 GMT", 0.0)])
def test_retry_after_is_obeyed(
    server: ScriptedServer, fetch: Fetch, text: str, want: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = Waits(fetch.client, monkeypatch)
    server.scripts["/file"] = [Reply(b"", 503, {"Retry-After": text}), Reply(BODY)]
    assert fetch()[1] == BODY
    assert waits.seconds == [want]


@pytest.mark.parametrize("text", ["86400", "Thu, 01 Jan 2099 00:00:00 GMT", "Thu, 01 Jan 2099 00:00:00"])
def test_retry_after_beyond_all_patience_is_given_up(server: ScriptedServer, fetch: Fetch, text: str) -> None:
    server.scripts["/file"] = Reply(b"", 429, {"Retry-After": text})
    with pytest.raises(NoAnswerError, match="HTTP 429") as error:
        fetch()
    assert error.value.status == 429
    assert len(server.requests) == 1


@pytest.mark.parametrize("text", ["soon", "-5", "1.5.6"])
def test_retry_after_that_says_nothing_is_passed_over(
    server: ScriptedServer, fetch: Fetch, text: str
) -> None:
    server.scripts["/file"] = [Reply(b"", 503, {"Retry-After": text}), Reply(BODY)]
    assert fetch()[1] == BODY


def test_pauses_grow_and_stay_bounded(
    server: ScriptedServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch.client.patience = Patience(attempts=6, backoff=1, backoff_most=5)
    waits = Waits(fetch.client, monkeypatch)
    server.scripts["/file"] = Reply(b"", 500)
    with pytest.raises(NoAnswerError, match=r"HTTP 500 \(6 times\)"):
        fetch()
    most = [1, 2, 4, 5, 5]
    assert len(waits.seconds) == len(most)
    assert all(limit / 2 <= got <= limit for got, limit in zip(waits.seconds, most, strict=True))


def test_long_download_over_a_line_that_breaks_often_ends_well(server: ScriptedServer, fetch: Fetch) -> None:
    body = BODY * 8
    whole = ranged(body)

    def broken(request: Request) -> Reply:
        reply = whole(request)
        return Reply(reply.body, reply.status, reply.headers, cut=len(BODY) + 7)

    server.scripts["/file"] = broken
    assert fetch()[1] == body  # seven breaks, though only three in a row with nothing gained are borne


@pytest.mark.parametrize("length", [True, False])
def test_size_is_bounded_whatever_the_server_says(
    server: ScriptedServer, fetch: Fetch, tmp_path: Path, length: bool
) -> None:
    server.scripts["/file"] = Reply(BODY, headers=ETAG, length=length)
    with pytest.raises(TooLargeError):
        fetch(limit=len(BODY) - 1)
    assert list(tmp_path.iterdir()) == []
    assert fetch(limit=len(BODY))[1] == BODY


def test_end_of_the_connection_is_told_from_the_end_of_the_file(server: ScriptedServer, fetch: Fetch) -> None:
    server.scripts["/file"] = Reply(BODY, length=False, cut=1000)
    found, body = fetch()
    assert (found.delimited, body) == (False, BODY[:1000])
    server.scripts["/file"] = Reply(BODY)
    assert fetch()[0].delimited


def test_chunked_answer_must_come_to_its_end(server: ScriptedServer, fetch: Fetch) -> None:
    chunked = {"Transfer-Encoding": "chunked"}
    server.scripts["/file"] = [
        Reply(b"5\r\nhello\r\n5\r\nwo", headers=chunked, length=False),
        Reply(b"5\r\nhello\r\n0\r\n\r\n", headers=chunked, length=False),
    ]
    found, body = fetch()
    assert (found.delimited, body) == (True, b"hello")
    assert len(server.requests) == 2


def test_known_version_is_not_sent_again(server: ScriptedServer, fetch: Fetch) -> None:
    server.scripts["/file"] = ranged(BODY)
    assert fetch(known=Version('"1"'))[0].unchanged
    assert fetch(known=Version('"0"'))[1] == BODY
    server.scripts["/file"] = Reply(status=304)
    date = "Tue, 01 Sep 2026 10:00:00 GMT"
    assert fetch(known=Version(modified=date))[0].unchanged
    assert server.requests[-1].headers["If-Modified-Since"] == date


def test_unasked_304_is_no_file(server: ScriptedServer, fetch: Fetch) -> None:
    server.scripts["/file"] = Reply(status=304)
    with pytest.raises(NotServedError, match="304"):
        fetch()


def test_slow_server_is_given_up(server: ScriptedServer, fetch: Fetch) -> None:
    fetch.client.patience = Patience(attempts=2, backoff=0.01, slow=0.0, least_rate=1e12)
    server.scripts["/file"] = Reply(BODY, headers=ETAG)
    with pytest.raises(NoAnswerError, match="too slow"):
        fetch()


def test_silence_is_not_waited_for_for_ever(server: ScriptedServer, tmp_path: Path) -> None:
    patience = Patience(read=0.2, attempts=1)
    silence = threading.Event()

    def silent(request: Request) -> Reply:
        silence.wait(30)
        return Reply()

    server.scripts["/file"] = silent
    with urllib3.PoolManager(retries=False, timeout=patience.timeout) as pool:
        fetch = Fetch(server, pool, tmp_path / "x")
        fetch.client = Client(patience)
        with pytest.raises(NoAnswerError, match=r"nothing came for 0\.2 s") as error:
            fetch()
    silence.set()
    assert error.value.status is None


def test_server_that_is_not_there_is_told_plainly(
    server: ScriptedServer, pool: urllib3.PoolManager, fetch: Fetch
) -> None:
    with ScriptedServer() as closed:
        url = closed.url
    fetch.resource = Resource(
        url, lambda headers: pool.request("GET", url, headers=headers, preload_content=False)
    )
    with pytest.raises(NoAnswerError, match=r"^connection refused \(3 times\)$"):
        fetch()


def test_part_of_a_killed_process_is_as_long_as_was_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yolo_trainer.fetch.part._SAVE_EVERY", 1000)
    path = tmp_path / "x.part"
    killed = Part(path, kept=True)
    killed.begin("http://host/file")
    killed.restart(Version('"1"'))
    for _ in range(25):
        killed.write(bytes(100))
    with Part(path, kept=True) as part:
        assert (part.size, part.version, part.origin) == (2000, Version('"1"'), "http://host/file")
        assert path.stat().st_size == 2000
    killed.discard()


def test_stop_ends_waiting_at_once(server: ScriptedServer, fetch: Fetch) -> None:
    fetch.client.patience = Patience(attempts=100, backoff=1000, backoff_most=1000)
    asked = threading.Event()

    def busy(request: Request) -> Reply:
        asked.set()
        return Reply(status=503)

    server.scripts["/file"] = busy
    errors: list[Exception] = []

    def run() -> None:
        try:
            fetch()
        except NoAnswerError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert asked.wait(30)
    fetch.client.stop()
    thread.join(30)
    assert len(errors) == 1
