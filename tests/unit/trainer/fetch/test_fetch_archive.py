"""Archives at URLs that users write: from whom they are taken, and that nothing else is reached."""

import io
import logging
import ssl
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import trustme

from dataset_writers import make_truth, pack_zip, write_images, write_roboflow
from scripted_server import Reply, Request, ScriptedServer, ranged
from ucd_server import serving
from yolo_crds.references import shown
from yolo_crds.trainer import Fetch
from yolo_crds.training import Data
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.errors import FetchFailedError, InvalidDataError, TrainerError
from yolo_trainer.fetch.addresses import Gate, RefusedAddressError, UnresolvedError, is_public
from yolo_trainer.fetch.client import Patience
from yolo_trainer.fetch.fetcher import Fetcher

PATIENCE = Patience(connect=5, read=5, attempts=3, backoff=0.01)
HOSTS = ["data.example.org", "mirror.example.org", "inside.example.org"]
SECRET = "sig=hunter2"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """What a client trusts."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[ScriptedServer]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*HOSTS, "localhost", "127.0.0.1").configure_cert(context)
    found = ScriptedServer(tls=context)
    with serving(found):
        yield found


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A zip of a YOLO data set."""
    folder = tmp_path_factory.mktemp("export")
    truth = make_truth(4)
    write_roboflow(folder / "export", write_images(folder / "images", truth), truth)
    return pack_zip(folder / "export", folder / "demo.zip").read_bytes()


class Web:
    """A world whose names all lead to the test's server, `inside.example.org` to an address of its own."""

    def __init__(self, world: Any, server: ScriptedServer, tls: ssl.SSLContext) -> None:
        self.world = world
        self.server = server
        self.tls = tls
        self.resolved: list[str] = []
        self.addresses = {host: ["127.0.0.1"] for host in HOSTS} | {"inside.example.org": ["10.0.0.7"]}

    def resolve(self, host: str, port: int) -> list[str]:
        self.resolved.append(host)
        if host not in self.addresses:
            raise OSError("no such name")
        return self.addresses[host]

    def url(self, path: str, host: str = "data.example.org") -> str:
        return f"https://{host}:{self.server.server_port}{path}"

    def take(
        self,
        train: str,
        gate: Gate | None = None,
        labels: Sequence[str] = ("helmet", "person"),
        **settings: object,
    ) -> PreparedSet:
        """Prepares what a URL names; the test's server counts as public unless a `gate` says otherwise."""
        fetch = Fetch.model_validate({"archives": True, **settings})
        found = Fetcher(
            self.world.volume,
            fetch,
            self.world.report,
            patience=PATIENCE,
            gate=gate or Gate(fetch.archive_hosts, lambda address: address == "127.0.0.1", self.resolve),
            tls=self.tls,
        )
        data = Data.model_validate({"train": train, "labels": list(labels)})
        prepared = prepare_dataset(self.world.volume, data, "detect", self.world.report, remote=found)
        self.warnings = found.warnings
        return prepared

    def kept(self) -> list[str]:
        """Names of the archives that are kept, without notes and locks."""
        files = (p for p in (self.world.volume.fetched / "archives").rglob("*") if p.is_file())
        return sorted(p.name for p in files if p.name not in {"lock", "note.json"} and p.name[0] != ".")


@pytest.fixture
def web(world: Any, server: ScriptedServer, tls: ssl.SSLContext) -> Web:
    return Web(world, server, tls)


def test_archive_goes_the_way_of_one_on_the_volume(web: Web, packed: bytes) -> None:
    web.server.scripts["/demo.zip"] = Reply(packed)
    found = web.take(web.url("/demo.zip"))
    assert found.details.dataset.images == 4
    assert "in the archive demo.zip" in found.details.taken_for["train"]
    assert web.kept() == ["demo.zip"]
    assert {report["stage"] for report in web.world.reports} >= {"fetch", "unpack", "verify"}


def test_tar_is_taken_too(web: Web, packed: bytes, tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name in ("a", "b", "c"):
            web.world.image(f"{name}.jpg", shade=ord(name))
            tar.add(web.world.data / f"{name}.jpg", f"images/{name}.jpg")
            label = tarfile.TarInfo(f"labels/{name}.txt")
            label.size = 20
            tar.addfile(label, io.BytesIO(b"0 0.5 0.5 0.25 0.25\n"))
    web.server.scripts["/demo.tar.gz"] = Reply(out.getvalue())
    assert web.take(web.url("/demo.tar.gz")).details.dataset.images == 3


def test_archive_is_asked_for_again_and_not_sent_again(web: Web, packed: bytes) -> None:
    web.server.scripts["/demo.zip"] = ranged(packed)
    first = web.take(web.url("/demo.zip"))
    kept = next((web.world.volume.fetched / "archives").glob("*/demo.zip"))
    before = kept.stat()
    assert web.take(web.url("/demo.zip")).folder == first.folder
    assert [r.headers.get("If-None-Match") for r in web.server.requests] == [None, '"1"']
    assert (kept.stat().st_ino, kept.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_changed_archive_is_taken(web: Web, packed: bytes) -> None:
    web.server.scripts["/demo.zip"] = ranged(b"PK\x05\x06" + bytes(18), '"0"')
    with pytest.raises(InvalidDataError):
        web.take(web.url("/demo.zip"))
    web.server.scripts["/demo.zip"] = ranged(packed)
    assert web.take(web.url("/demo.zip")).details.dataset.images == 4


def test_broken_download_goes_on_where_it_broke(web: Web, packed: bytes) -> None:
    web.server.scripts["/demo.zip"] = Reply(packed, headers={"ETag": '"1"'}, cut=len(packed) // 2)
    with pytest.raises(FetchFailedError, match=r"cannot fetch https://data\.example\.org:\d+/demo\.zip: "):
        web.take(web.url("/demo.zip"))
    assert web.kept() == ["download.part", "download.part.note"]
    web.server.scripts["/demo.zip"] = ranged(packed)
    web.server.requests.clear()
    assert web.take(web.url("/demo.zip")).details.dataset.images == 4
    assert web.server.requests[0].headers["Range"] == f"bytes={len(packed) // 2}-"
    assert web.kept() == ["demo.zip"]


def test_down_server_is_replaced_by_the_copy(web: Web, packed: bytes) -> None:
    web.server.scripts["/demo.zip"] = Reply(packed)
    first = web.take(web.url("/demo.zip"))
    web.server.scripts["/demo.zip"] = Reply(status=503)
    assert web.take(web.url("/demo.zip")).folder == first.folder
    assert "less than a minute ago" in web.warnings[0]


def test_two_prepares_at_once_download_once(web: Web, packed: bytes) -> None:
    web.server.scripts["/demo.zip"] = ranged(packed)
    found: list[PreparedSet] = []
    threads = [threading.Thread(target=lambda: found.append(web.take(web.url("/demo.zip")))) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert len({one.folder for one in found}) == 1
    assert [r.headers.get("If-None-Match") for r in web.server.requests] == [None, '"1"']


def test_archives_of_one_path_are_told_apart_by_their_query(web: Web, packed: bytes) -> None:
    web.server.scripts["/export.zip"] = lambda request: (
        ranged(packed)(request) if "id=1" in request.target else Reply(status=404)
    )
    assert web.take(web.url("/export.zip?id=1")).details.dataset.images == 4
    with pytest.raises(InvalidDataError, match="HTTP 404"):
        web.take(web.url("/export.zip?id=2"))


def test_closed_by_default_and_says_what_opens_it(web: Web) -> None:
    with pytest.raises(
        InvalidDataError, match=r"template\.data\.train: https://data.*is not fetched"
    ) as error:
        web.take(web.url("/demo.zip"), archives=False)
    assert "fetch.archives.enabled" in (error.value.hint or "")
    data = Data.model_validate({"train": web.url("/demo.zip"), "labels": ["a"]})
    with pytest.raises(InvalidDataError, match="is not fetched"):
        prepare_dataset(web.world.volume, data, "detect", web.world.report)
    assert (web.resolved, web.server.requests) == ([], [])


@pytest.mark.parametrize(
    ("url", "want"),
    [
        ("http://data.example.org/a.zip", "http:// is not taken, only https://"),
        ("HTTP://data.example.org/a.zip", "http:// is not taken"),
        ("ftp://data.example.org/a.zip", "ftp:// is not taken"),
        ("file:///etc/passwd.zip", "file:// is not taken"),
        ("s3://bucket/a.zip", "s3:// is not taken"),
        ("https://user:hunter2@data.example.org/a.zip", "user and password"),
        ("https://hunter2@data.example.org/a.zip", "user and password"),
        ("https:///a.zip", "names no host|no URL"),
        ("https://data.example.org/a b.zip", "no blanks"),
        ("https://data.example.org/a\r\nHost: x.zip", "no blanks or control"),
        ("https://data.example.org:99999999/a.zip", "no URL that can be read"),
    ],
)
def test_url_that_is_not_taken_names_the_field(web: Web, url: str, want: str) -> None:
    with pytest.raises(InvalidDataError, match=want) as error:
        web.take(url)
    assert error.value.message.startswith("template.data.train: ")
    assert "hunter2" not in error.value.message
    assert web.resolved == []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
        "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a00:1",
        "2002:7f00:1::", "2002:a00:1::1", "::127.0.0.1", "not an address", "",
    ],
)  # fmt: skip
def test_address_that_only_the_cluster_can_reach_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "140.82.121.3", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_loopback_is_refused_by_the_real_rule(web: Web, host: str) -> None:
    with pytest.raises(InvalidDataError, match=r"has the address .*, which is not a public one") as error:
        web.take(web.url("/demo.zip", host), gate=Gate([]))
    assert error.value.message.startswith("template.data.train: https://")
    assert web.server.connections == 0


def test_every_address_of_a_name_must_be_public() -> None:
    gate = Gate([], resolve=lambda host, port: ["1.1.1.1", "10.0.0.1"])
    with pytest.raises(RefusedAddressError, match=r"10\.0\.0\.1"):
        gate.addresses("both.example.org", 443)


def test_name_is_resolved_once_and_that_address_connected_to(web: Web, packed: bytes) -> None:
    """A second question could be answered otherwise (DNS rebinding)."""
    web.server.scripts["/demo.zip"] = Reply(packed)
    answers = iter([["127.0.0.1"], ["10.0.0.7"]])
    gate = Gate([], lambda address: address == "127.0.0.1", lambda host, port: next(answers))
    assert web.take(web.url("/demo.zip"), gate).details.dataset.images == 4
    assert next(answers) == ["10.0.0.7"]


def test_further_addresses_are_tried(web: Web, packed: bytes) -> None:
    web.server.scripts["/demo.zip"] = Reply(packed)
    gate = Gate([], lambda address: True, lambda host, port: ["127.0.0.2", "127.0.0.1"])
    assert web.take(web.url("/demo.zip"), gate).details.dataset.images == 4


@pytest.mark.parametrize(
    ("hosts", "host", "passes"),
    [
        (["data.example.org"], "data.example.org", True),
        (["DATA.example.org."], "Data.Example.Org", True),
        (["*.example.org"], "data.example.org", True),
        (["*.example.org"], "a.b.example.org", True),
        (["*.example.org"], "example.org", False),
        (["*.example.org"], "badexample.org", False),
        (["example.org"], "data.example.org", False),
        (["data.example.org"], "data.example.org.evil.net", False),
        (["data.example.org"], "mirror.example.org", False),
    ],
)
def test_hosts_are_the_installers(hosts: list[str], host: str, passes: bool) -> None:
    gate = Gate(hosts, resolve=lambda host, port: ["10.0.0.7"])  # private, and the installer's choice
    if passes:
        assert gate.addresses(host, 443) == ["10.0.0.7"]
    else:
        with pytest.raises(RefusedAddressError, match="is not among the hosts"):
            gate.addresses(host, 443)


def test_listed_host_may_be_private_under_the_real_rule(web: Web, packed: bytes) -> None:
    web.server.scripts["/demo.zip"] = Reply(packed)
    found = web.take(web.url("/demo.zip", "localhost"), gate=Gate(["localhost"]))
    assert found.details.dataset.images == 4


def test_name_without_an_address_can_be_tried_again(web: Web) -> None:
    with pytest.raises(FetchFailedError, match="the host's name has no address"):
        web.take("https://nowhere.example.org/demo.zip")
    with pytest.raises(UnresolvedError):
        Gate([]).addresses("nowhere.invalid", 443)


def test_redirects_are_followed(web: Web, packed: bytes) -> None:
    web.server.scripts |= {
        "/demo.zip": Reply(status=302, headers={"Location": "/second"}),
        "/second": Reply(status=307, headers={"Location": web.url("/third", "mirror.example.org")}),
        "/third": Reply(packed),
    }
    assert web.take(web.url("/demo.zip")).details.dataset.images == 4
    assert web.resolved == ["data.example.org", "data.example.org", "mirror.example.org"]
    assert not {"Authorization", "Cookie"} & {n for r in web.server.requests for n in r.headers}


@pytest.mark.parametrize(
    ("location", "want"),
    [
        ("https://inside.example.org/x.zip", r"inside\.example\.org has the address 10\.0\.0\.7"),
        ("https://10.0.0.7/x.zip", r"10\.0\.0\.7 has the address 10\.0\.0\.7, which is not a public"),
        ("https://[::1]/x.zip", "which is not a public one"),
        ("http://data.example.org/x.zip", "http:// is not taken, only https://"),
        ("//inside.example.org/x.zip", "which is not a public one"),
        ("https://u:hunter2@data.example.org/x.zip", "user and password"),
        ("file:///etc/passwd", "file:// is not taken"),
        ("/demo.zip", "leads on more than 5 times"),
        ("", "leads on more than 5 times"),
    ],
)
def test_redirect_is_checked_like_the_first_url(web: Web, location: str, want: str) -> None:
    for host in ("10.0.0.7", "::1"):
        web.addresses[host] = [host]
    web.server.scripts["/demo.zip"] = Reply(status=302, headers={"Location": location})
    with pytest.raises(InvalidDataError, match=want) as error:
        web.take(web.url("/demo.zip"))
    assert "template.data.train: https://data.example.org" in error.value.message
    assert "hunter2" not in error.value.message
    assert len(web.server.requests) <= 6


def test_redirect_to_a_host_that_is_not_listed_is_refused(web: Web) -> None:
    location = web.url("/x.zip", "mirror.example.org")
    web.server.scripts["/demo.zip"] = Reply(status=302, headers={"Location": location})
    with pytest.raises(InvalidDataError, match=r"mirror\.example\.org is not among the hosts") as error:
        web.take(web.url("/demo.zip"), archiveHosts=["data.example.org"])
    assert "fetch.archives.hosts" in (error.value.hint or "")


def test_certificate_of_somebody_else_is_refused(web: Web) -> None:
    web.addresses["other.example.org"] = ["127.0.0.1"]
    with pytest.raises(FetchFailedError, match="certificate is not trusted: Hostname mismatch"):
        web.take(web.url("/demo.zip", "other.example.org"))
    web.tls = ssl.create_default_context()
    with pytest.raises(FetchFailedError, match="certificate is not trusted"):
        web.take(web.url("/demo.zip"))
    assert web.server.requests == []


def test_server_may_name_the_file(web: Web, packed: bytes) -> None:
    named = {"Content-Disposition": "attachment; filename*=UTF-8''..%2F..%2Fmy%20set.zip"}
    web.server.scripts["/download"] = Reply(packed, headers=named)
    assert web.take(web.url("/download")).details.dataset.images == 4
    assert web.kept() == ["my_set.zip"]


@pytest.mark.parametrize(
    ("path", "reply", "want"),
    [
        ("/download", Reply(b"PK"), "names a file that ends in .zip"),
        (
            "/a.zip",
            Reply(b"<html>", headers={"Content-Type": "text/html; x"}),
            r"something else \(text/html\)",
        ),
        ("/a.tar", Reply(b"<html>"), "the server sent something else"),
        ("/a.zip", Reply(b"PK", length=False), "does not say how long the file is"),
        ("/a.zip", Reply(b"x" * 2000), "2000 bytes are more than the 1000"),
        ("/a.zip", Reply(b"x" * 2000, length=False), "more than the 1000 bytes"),
        ("/a.zip", Reply(status=403), "the server answered HTTP 403"),
        ("/a.zip", Reply(status=404), "the server answered HTTP 404"),
    ],
)
def test_what_is_no_archive_is_refused_and_not_kept(web: Web, path: str, reply: Reply, want: str) -> None:
    web.server.scripts[path] = reply
    with pytest.raises(InvalidDataError, match=want) as error:
        web.take(web.url(path), maxArchiveBytes=1000)
    assert error.value.message.startswith("template.data.train: https://data.example.org")
    assert web.kept() == []


def failing(packed: bytes) -> dict[str, Callable[[Web], None]]:
    """Ways to end, each of which says something about the URL."""

    def answer(reply: Reply) -> Callable[[Web], None]:
        return lambda web: web.server.scripts.__setitem__("/demo.zip", reply)

    return {
        "gone": answer(Reply(status=404)),
        "busy": answer(Reply(status=503)),
        "broken": answer(Reply(packed, cut=10)),
        "no archive": answer(Reply(b"?")),
        "redirect": answer(Reply(status=302, headers={"Location": f"https://inside.example.org/?{SECRET}"})),
        "circle": answer(Reply(status=302, headers={"Location": f"?{SECRET}"})),
        "no label fits": answer(Reply(packed)),
    }


@pytest.mark.parametrize("how", sorted(failing(b"")))
def test_query_is_sent_and_never_shown(
    web: Web, packed: bytes, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    failing(packed)[how](web)
    url = web.url(f"/demo.zip?{SECRET}#{SECRET}")
    labels = ["other"] if how == "no label fits" else ["helmet"]
    with caplog.at_level(logging.INFO), pytest.raises(TrainerError) as error:
        web.take(url, labels=labels)
    told = f"{error.value.message} {error.value.hint} {caplog.text} {web.world.reports}"
    assert "hunter2" not in told
    assert web.server.targets[0] == f"/demo.zip?{SECRET}"
    written = [p for p in web.world.data.rglob("*") if p.is_file() and p.suffix in {".note", ".json"}]
    assert not any("hunter2" in p.read_text() for p in written)


def test_shown_hides_what_may_be_secret() -> None:
    assert shown("https://u:p@host:8443/a/b.zip?x=y#z") == "https://host:8443/a/b.zip"
    assert shown("https://host?x=y") == "https://host"
    assert shown("team/many?x") == "team/many?x"


def test_request_is_plain(web: Web, packed: bytes) -> None:
    asked: list[Request] = []

    def answer(request: Request) -> Reply:
        asked.append(request)
        return Reply(packed)

    web.server.scripts["/demo.zip"] = answer
    web.take(web.url("/demo.zip"))
    assert set(asked[0].headers) == {"Host", "Accept-Encoding", "User-Agent"}
    assert asked[0].headers["Host"] == f"data.example.org:{web.server.server_port}"
