"""Data sets are written by strangers: what each trick meets, and that nothing outside was touched.

Each case lays something onto the data volume and names what is prepared from it. It is refused with a
message, or left out and counted; either way no file outside of the data volume is opened or written.
"""

import json
import os
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dataset_writers import coco_content, labelme_content, pack_zip, tar_of, voc_text
from yolo_crds.training import Data, Task
from yolo_trainer.data import archive, archive_entries
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.errors import DiskFullError, InvalidDataError, TrainerError

SECRET = "hush"
ROW = "0 0.5 0.5 0.2 0.2\n"


@dataclass
class Scene:
    """A data volume with an honest data set in `datasets/demo`, and a folder outside with secrets."""

    world: Any
    outside: Path

    @property
    def data(self) -> Path:
        path: Path = self.world.data
        return path

    @property
    def demo(self) -> Path:
        return self.data / "datasets/demo"

    def text(self, path: str, text: str) -> None:
        self.world.text(f"datasets/demo/{path}", text)

    def yaml(self, text: str) -> None:
        self.text("data.yaml", text)

    def only(self, path: str, content: object) -> None:
        """The data set's images with other labels: one annotation file instead of YOLO's."""
        (self.demo / "data.yaml").unlink()
        for label in (self.demo / "labels").rglob("*.txt"):
            label.unlink()
        self.text(path, content if isinstance(content, str) else json.dumps(content))

    def sparse(self, path: str, size: int) -> None:
        with (self.demo / path).open("ab") as file:
            file.truncate(size)

    def link(self, path: str, name: str) -> None:
        """Puts a link to something outside in place of a file."""
        file = self.demo / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.symlink_to(self.outside / name)


@pytest.fixture
def scene(world: Any, tmp_path: Path) -> Scene:
    found = Scene(world, tmp_path / "outside")
    for i, name in enumerate(("train/a", "train/b", "val/c")):
        world.image(f"datasets/demo/images/{name}.png", shade=i * 40)
        world.text(f"datasets/demo/labels/{name}.txt", ROW)
    found.yaml("train: images/train\nval: images/val\nnames: [a]\n")
    found.outside.mkdir()
    (found.outside / "secret.txt").write_text(SECRET)
    Image.new("RGB", (64, 48)).save(found.outside / "secret.png")
    Image.new("L", (64, 48)).save(found.outside / "mask.png")
    return found


_listeners: list[list[str]] = []


def _note(event: str, args: tuple[Any, ...]) -> None:
    if event == "open" and _listeners and isinstance(args[0], str | os.PathLike):
        _listeners[-1].append(os.path.realpath(args[0]))


sys.addaudithook(_note)  # once: Python cannot take one off again


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """What files are opened, by resolved path, whoever opens them."""
    paths: list[str] = []
    _listeners.append(paths)
    yield paths
    _listeners.remove(paths)


def prepare(scene: Scene, train: str = "demo", task: Task = "detect", **data: object) -> PreparedSet:
    given = Data.model_validate({"train": train, "labels": ["a"], **data})
    return prepare_dataset(scene.world.volume, given, task, scene.world.report)


def snapshot(folder: Path) -> list[tuple[str, int, int]]:
    found = (p for p in sorted(folder.rglob("*")))
    return [(str(p), p.lstat().st_size, p.lstat().st_mtime_ns) for p in found]


def check_refused(scene: Scene, opened: list[str], want: str, train: str, task: Task, **data: object) -> None:
    before = snapshot(scene.outside)
    with pytest.raises(TrainerError, match=want) as error:
        prepare(scene, train, task, **data)
    assert isinstance(error.value, InvalidDataError | DiskFullError)
    assert SECRET not in error.value.message
    check_untouched(scene, opened, before)


def check_untouched(scene: Scene, opened: list[str], before: object) -> None:
    assert snapshot(scene.outside) == before
    assert [p for p in opened if p.startswith((str(scene.outside), "/etc/"))] == []
    store = scene.world.volume.unpacked
    assert [p for p in store.glob("*") if not p.name.startswith((".sha256-", ".used-"))] == []


# --- references ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reference",
    [
        "../outside/secret.txt",
        "ucd/../../outside",
        "/etc/passwd",
        "..\\outside",
        "datasets/demo/../../../outside",
    ],
)
def test_reference_that_leads_out_is_refused(scene: Scene, opened: list[str], reference: str) -> None:
    check_refused(scene, opened, r"^template\.data\.train: .*('\.\.'|is not below)", reference, "detect")
    check_refused(scene, opened, r"^template\.data\.val: ", "demo", "detect", val=reference)


def test_pipe_is_no_data_set(scene: Scene, opened: list[str]) -> None:
    os.mkfifo(scene.data / "ucd/pipe.json")
    check_refused(scene, opened, r"template\.data\.train: .*pipe\.json is neither a file", "pipe", "detect")


# --- text: YAML, lists, labels, JSON, XML -------------------------------------------------------------------

ENDLESS = r"data\.yaml is not YAML: its anchors and aliases stand for more than it may hold"
LAUGHS = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}' if i else 'ha'] * 10)}]" for i in range(9))
MERGES = "\n".join(
    f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}' if i else '{k: v}'] * 10)}]}}" for i in range(9)
)


def yaml(text: str) -> Callable[[Scene], None]:
    return lambda scene: scene.yaml(text)


def names(count: int) -> Callable[[Scene], None]:
    return yaml(f"train: images/train\nnames: [{'a, ' * (count - 1)}a]")


def listed(line: str) -> Callable[[Scene], None]:
    """A data.yaml with a list of images, one line of which means harm."""

    def write(scene: Scene) -> None:
        scene.yaml("train: train.txt\nval: images/val\nnames: [a]\n")
        scene.text("train.txt", f"images/train/a.png\n{line}\n")

    return write


def darknet(entries: str, line: str = "images/train/a.png") -> Callable[[Scene], None]:
    def write(scene: Scene) -> None:
        (scene.demo / "data.yaml").unlink()
        scene.text("obj.data", entries)
        scene.text("obj.names", "a\n")
        scene.text("train.txt", f"{line}\n")

    return write


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("/etc/passwd", "foreignPath"),
        ("C:\\outside\\secret.png", "foreignPath"),
        ("file:///etc/passwd", "foreignPath"),
        ("../../../../etc/passwd", "outsideVolume"),
        ("..\\..\\..\\..\\outside\\secret.png", "outsideVolume"),
        ("images/\0/../x.png", "unsafeName"),
    ],
)
def test_line_of_a_list_that_leads_out_is_left_out(
    scene: Scene, opened: list[str], line: str, kind: str
) -> None:
    listed(line)(scene)
    before = snapshot(scene.outside)
    found = prepare(scene)
    assert found.details.dataset.skipped == {kind: 1}
    assert found.details.skipped_names[kind] == [repr(line)]
    assert found.details.dataset.images == 2
    check_untouched(scene, opened, before)


def sparse(path: str, size: int) -> Callable[[Scene], None]:
    return lambda scene: scene.sparse(path, size)


def link(path: str, name: str) -> Callable[[Scene], None]:
    return lambda scene: scene.link(path, name)


def huge_json(scene: Scene) -> None:
    scene.only("all.json", "{")
    scene.sparse("all.json", 10 << 30)


def pipe(path: str) -> Callable[[Scene], None]:
    def make(scene: Scene) -> None:
        (scene.demo / path).unlink()
        os.mkfifo(scene.demo / path)

    return make


def voc(text: str) -> Callable[[Scene], None]:
    return lambda scene: scene.only("images/train/a.xml", text)


DOCTYPE = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>\n'
EXTERNAL = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>\n'


@pytest.mark.parametrize(
    ("arrange", "want"),
    [
        (yaml("train: ../../../../etc\nval: x"), r"data\.yaml: `train:` '.*' leads out of the data volume"),
        (yaml("train: /etc\nval: x"), r"data\.yaml: `train:` '/etc' is not below"),
        (yaml("train: [images/train, /etc/passwd]\nnames: [a]"), r"'/etc/passwd' is not below"),
        (yaml("path: ../../../outside\ntrain: .\nnames: [a]"), r"data\.yaml: `path:` '.*' leads out"),
        (yaml("train: gone\ndownload: https://example.org/x.zip"), r"'gone' is not there"),
        (yaml("train: !!python/object/apply:os.system [x]"), r"data\.yaml is not YAML: .*python/object"),
        (yaml("train: !!python/name:os.system ''"), r"data\.yaml is not YAML: .*python/name"),
        (yaml(f"{LAUGHS}\ntrain: images/train\nnames: *l8"), ENDLESS),
        (yaml(f"{MERGES}\ntrain: images/train\nnames: [a]"), ENDLESS),
        (yaml("train: &a [*a]\nnames: [a]"), ENDLESS),
        (yaml("train: " + "[" * 5000), r"data\.yaml is not YAML: .*recursion"),
        (names(1_000_000), r"data\.yaml is larger than 1048576 bytes"),
        (names(10_001), "`names:` has 10001 entries; at most 10000"),
        (yaml("train: images/train\nnames: [[a]]"), "name 0 of `names:` is no text"),
        (darknet("train = /etc/passwd\nnames = obj.names"), r"obj\.data: .*'/etc/passwd' is not there"),
        (darknet("train = ../../../outside/secret.txt\nnames = obj.names"), r"obj\.data: .* is not there"),
        (darknet("train = train.txt\nnames = /etc/passwd"), r"obj\.data: .*'/etc/passwd' is not there"),
        (darknet("train = train.txt\nnames = obj.names", "/etc/passwd.png"), "no images in 'demo'"),
        (sparse("labels/train/a.txt", 100 << 20), r"a\.txt is larger than 16777216 bytes"),
        (link("labels/train/a.txt", "secret.txt"), r"labels/train/a\.txt leads out of the data volume"),
        (link("classes.txt", "secret.txt"), r"classes\.txt leads out of the data volume"),
        (link("notes.json", "secret.txt"), r"notes\.json leads out of the data volume"),
        (link("images/train/a.xml", "secret.txt"), r"a\.xml leads out of the data volume"),
        (link("more", "."), r"demo/more leads out of the data volume"),
        (link("data.yaml", "secret.txt"), r"data\.yaml leads out of the data volume"),
        (pipe("labels/train/a.txt"), r"labels/train/a\.txt is no file but a folder, pipe or device"),
        (huge_json, r"all\.json has 10737418240 bytes, more than the \d+"),
        (lambda s: s.only("all.json", '{"uc_list": ' + "[" * 200_000), r"all\.json is not JSON: .*recursion"),
        (lambda s: s.only("all.json", {"uc_list": ["../../../outside/secret", "/etc/passwd"]}), "no images"),
        (voc(DOCTYPE + voc_text("a.png", [])), r"a\.xml, line 1: a document type .* refused"),
        (voc(EXTERNAL + voc_text("a.png", [])), r"a\.xml, line 1: a document type"),
        (voc("<annotation>" * 40), r"a\.xml, line 1: nested too deep"),
        (voc("<annotation>" + " " * (17 << 20)), r"a\.xml is larger than 16777216 bytes"),
    ],
)  # fmt: skip
def test_text_that_means_harm_is_refused(
    scene: Scene, opened: list[str], arrange: Callable[[Scene], None], want: str
) -> None:
    arrange(scene)
    check_refused(scene, opened, want, "demo", "detect")


def test_volume_of_split_ucd_behind_a_link_out_is_refused(scene: Scene, opened: list[str]) -> None:
    scene.world.text("ucd/old.uci", '{"uc_list": ["a"]}')
    (scene.data / "ucd/old.o1").symlink_to(scene.outside / "secret.txt")
    check_refused(scene, opened, r"old\.o1 leads out of the data volume", "old", "detect")


def test_masks_elsewhere_are_refused(scene: Scene, opened: list[str]) -> None:
    scene.yaml("train: images/train\nmasks_dir: ../../../outside\nnames: [a]\n")
    check_refused(scene, opened, r"data\.yaml: `masks_dir: .*` is no name", "demo", "semantic")
    scene.yaml("train: images/train\nmasks_dir: masks\nnames: [a]\n")
    scene.link("masks/train/a.png", "mask.png")
    check_refused(scene, opened, r"masks/train/a\.png leads out of the data volume", "demo", "semantic")


# --- images: left out and counted ---------------------------------------------------------------------------


def png(*chunks: tuple[bytes, bytes], size: tuple[int, int] = (64, 48)) -> bytes:
    """A PNG of hand-made chunks after its header."""
    header = struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


PIXELS = (b"IDAT", zlib.compress(bytes(48 * (1 + 3 * 64))))
TEXT_BOMB = png((b"zTXt", b"k\0\0" + zlib.compress(bytes(256 << 20))), PIXELS)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="48"><image href="/etc/passwd"/></svg>'
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n(/etc/passwd) (r) file\n%%EOF\n"
PSD = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 48, 64, 8, 3) + bytes(64)
PCX = b"\x0a\x05\x01\x08" + struct.pack("<HHHH", 0, 0, 63, 47) + bytes(116) + bytes(64)
NO_FORMAT = "no image, or of a format that Ultralytics does not take"


def image(content: bytes) -> Callable[[Scene], None]:
    def write(scene: Scene) -> None:
        (scene.demo / "images/train/b.png").write_bytes(content)

    return write


def odd_name(scene: Scene) -> None:
    for folder, ending in (("images/train", "png"), ("labels/train", "txt")):
        file = scene.demo / folder / f"b.{ending}"
        file.rename(file.with_name(f"{os.fsdecode(bytes([98, 0xFF, 10]))}.{ending}"))


@pytest.mark.parametrize(
    ("arrange", "kind", "name"),
    [
        (image(png(PIXELS, size=(40_000, 40_000))), "corruptImage", "exceeds limit"),
        (image(png(PIXELS, size=(1 << 31, 1 << 31))), "corruptImage", "images/train/b.png ("),
        (image(TEXT_BOMB), "corruptImage", "MAX_TEXT_CHUNK"),
        (image(SVG), "corruptImage", NO_FORMAT),
        (image(EPS), "corruptImage", NO_FORMAT),
        (image(PSD), "corruptImage", NO_FORMAT),
        (image(PCX), "corruptImage", NO_FORMAT),
        (link("images/train/b.png", "secret.png"), "outsideVolume", "b"),
        (link("images/train/b.png", "nothing.png"), "missingImage", "b"),
        (pipe("images/train/b.png"), "noFile", "b"),
        (odd_name, "unsafeName", "b"),
    ],
)
def test_image_that_means_harm_is_left_out(
    scene: Scene, opened: list[str], arrange: Callable[[Scene], None], kind: str, name: str
) -> None:
    arrange(scene)
    before = snapshot(scene.outside)
    found = prepare(scene)
    assert found.details.dataset.skipped == {kind: 1}
    assert name in found.details.skipped_names[kind][0]
    assert found.details.dataset.images == 2
    check_untouched(scene, opened, before)


def coco(name: str) -> Callable[[Scene], None]:
    """A COCO file of one honest image and one by that name."""

    def write(scene: Scene) -> None:
        box = [("helmet", 1, 1, 20, 20)]
        scene.only("images/train/all.json", coco_content({"a.png": box, name: box}))

    return write


def labelme(name: str) -> Callable[[Scene], None]:
    """Labels of an honest image, and one that says its image lies elsewhere and brings one along."""

    def write(scene: Scene) -> None:
        content = labelme_content(name, [("helmet", 1, 1, 20, 20)])
        scene.only("images/train/stray.json", {**content, "imageData": "aHVzaA=="})
        scene.text("images/train/a.json", json.dumps(labelme_content("a.png", [("helmet", 1, 1, 20, 20)])))

    return write


def voc_named(name: str) -> Callable[[Scene], None]:
    def write(scene: Scene) -> None:
        scene.only("images/train/stray.xml", voc_text(name, [("helmet", 1, 1, 20, 20)]))
        scene.text("images/train/a.xml", voc_text("a.png", [("helmet", 1, 1, 20, 20)]))

    return write


OUTSIDE = "../../../../../outside/secret.png"


@pytest.mark.parametrize("name", [OUTSIDE, OUTSIDE.replace("/", "\\"), "/etc/passwd", "C:\\secret.png"])
@pytest.mark.parametrize("arrange", [coco, labelme, voc_named])
def test_image_named_elsewhere_is_left_out(
    scene: Scene, opened: list[str], arrange: Callable[[str], Callable[[Scene], None]], name: str
) -> None:
    arrange(name)(scene)
    check_left_out(scene, opened)


@pytest.mark.parametrize("arrange", [coco, labelme])
def test_image_with_a_nul_in_its_name_is_left_out(
    scene: Scene, opened: list[str], arrange: Callable[[str], Callable[[Scene], None]]
) -> None:
    arrange("a\0b.png")(scene)
    check_left_out(scene, opened)


def check_left_out(scene: Scene, opened: list[str]) -> None:
    """Of what a file names elsewhere nothing is in the set, but the honest images are."""
    before = snapshot(scene.outside)
    found = prepare(scene, "datasets/demo/images/train", labels=["helmet"])
    skipped = found.details.dataset.skipped
    assert (
        sum(skipped.get(kind, 0) for kind in ("unsafeName", "foreignPath", "outsideVolume", "missingImage"))
        == 1
    )
    assert {p.resolve().name for p in found.folder.glob("images/*/*")} <= {"a.png", "b.png"}
    check_untouched(scene, opened, before)


# --- archives -----------------------------------------------------------------------------------------------


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


@pytest.mark.parametrize(
    ("entries", "want"),
    [
        ([entry("../evil.txt")], r"entry '\.\./evil\.txt' leads out of the archive"),
        ([entry("a/../../evil.txt")], "leads out of the archive"),
        ([entry("a\\..\\..\\evil.txt")], "leads out of the archive"),
        ([entry("/etc/evil")], "entry '/etc/evil' has an absolute path"),
        ([entry("C:\\evil.txt")], "has an absolute path"),
        ([entry("\\\\server\\share\\evil.txt")], "has an absolute path"),
        ([entry("link", tarfile.SYMTYPE, "/etc/passwd")], "entry 'link' is a link or a device"),
        ([entry("link", tarfile.SYMTYPE, "."), entry("link/../../evil.txt")], "entry 'link' is a link"),
        ([entry("link", tarfile.LNKTYPE, "../../x")], "entry 'link' is a link or a device"),
        ([entry("pipe", tarfile.FIFOTYPE)], "entry 'pipe' is a link or a device"),
        ([entry("dev", tarfile.CHRTYPE)], "entry 'dev' is a link or a device"),
        ([entry("dev", tarfile.BLKTYPE)], "entry 'dev' is a link or a device"),
        ([entry("a"), entry("a")], "entry 'a' is there twice"),
        ([entry("a"), entry("a/b")], "entry 'a/b' is there twice"),
        ([entry("a/b"), entry("a", tarfile.DIRTYPE), entry("a")], "entry 'a' is there twice"),
        ([entry("n" * 300)], "has a name of more than 255 bytes"),
    ],
)
def test_harmful_tar_is_refused_by_entry(
    scene: Scene, opened: list[str], entries: list[tarfile.TarInfo], want: str
) -> None:
    tar_of(scene.data / "datasets/evil.tar", *entries)
    check_refused(scene, opened, rf"evil\.tar: .*{want}", "evil.tar", "detect")
    assert not list(scene.data.parent.rglob("evil.txt"))


def zip_link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


def zip_raw(name: str, raw: bytes) -> Callable[[bytes], bytes]:
    """Puts bytes in place of a name of the same length, in both places where a zip keeps it."""
    return lambda content: content.replace(name.encode(), raw)


@pytest.mark.parametrize(
    ("name", "change", "want"),
    [
        ("../evil.txt", None, r"entry '\.\./evil\.txt' leads out of the archive"),
        ("/tmp/evil.txt", None, "entry '/tmp/evil.txt' has an absolute path"),
        ("D:/evil.txt", None, "entry 'D:/evil.txt' has an absolute path"),
        ("a:b", zip_raw("a:b", b"..\\"), "leads out of the archive"),
        (zip_link("images"), None, "entry 'images' is a link or a device"),
        ("naïve.txt", zip_raw("naïve", b"na\xff\xfeve"), "is no whole archive: .*can't decode"),
        ("x.txt", zip_raw("PK\3\4", b"PK\3\5"), "is no whole archive"),
        ("l" * 256, None, "has a name of more than 255 bytes"),
    ],
)  # fmt: skip
def test_harmful_zip_is_refused_by_entry(
    scene: Scene,
    opened: list[str],
    name: zipfile.ZipInfo | str,
    change: Callable[[bytes], bytes] | None,
    want: str,
) -> None:
    path = scene.data / "datasets/evil.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("fine.txt", b"x")
        packed.writestr(name, b"/etc")
    if change:
        path.write_bytes(change(path.read_bytes()))
    check_refused(scene, opened, rf"evil\.zip.*{want}", "evil.zip", "detect")


def test_name_behind_a_nul_is_not_taken(scene: Scene, opened: list[str]) -> None:
    """Python ends such a name at the NUL; what follows leads nowhere."""
    path = pack_zip(scene.demo, scene.data / "datasets/nul.zip")
    with zipfile.ZipFile(path, "a") as packed:
        packed.writestr("note_/../../../evil.txt", b"x")
    path.write_bytes(path.read_bytes().replace(b"note_/", b"note\0/"))
    assert prepare(scene, "nul.zip").details.dataset.images == 3
    assert not list(scene.data.parent.rglob("evil.txt"))


def test_entries_that_share_their_bytes_are_refused(scene: Scene, opened: list[str]) -> None:
    """As in zip quines and Fifield's bomb: a directory whose entries lie over each other."""
    path = scene.data / "datasets/quine.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("a.txt", b"x" * 100)
        packed.writestr("b.txt", b"x" * 100)
    content = bytearray(path.read_bytes())
    second = content.rfind(b"PK\x01\x02")
    content[second + 42 : second + 46] = bytes(4)  # its bytes are the first one's
    path.write_bytes(content)
    check_refused(scene, opened, r"quine\.zip is no whole archive", "quine.zip", "detect")


def test_directory_of_a_million_entries_is_not_read(scene: Scene, opened: list[str]) -> None:
    path = scene.data / "datasets/many.zip"
    size = 1_000_000 * 100
    with path.open("wb") as file:
        file.truncate(size)
        file.seek(size)
        file.write(struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, size, 0, 0))
    want = rf"many\.zip: its directory has {size} bytes, more than 67108864: too many entries"
    check_refused(scene, opened, want, "many.zip", "detect")


def test_directory_of_a_large_zip_is_measured_too(
    scene: Scene, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)  # so that it writes the records of zip64
    path = pack_zip(scene.demo, scene.data / "datasets/large.zip")
    assert b"PK\x06\x06" in path.read_bytes()
    assert prepare(scene, "large.zip").details.dataset.images == 3
    monkeypatch.setattr(archive_entries, "MAX_DIRECTORY_BYTES", 100)
    with pytest.raises(InvalidDataError, match=r"its directory has \d{3} bytes, more than 100"):
        list(archive_entries.zip_entries(path))


def test_header_that_claims_a_gigabyte_is_not_read(scene: Scene, opened: list[str]) -> None:
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
        header = entry("x", kind, size=1 << 30).tobuf(tarfile.GNU_FORMAT)
        (scene.data / "datasets/long.tar").write_bytes(header + bytes(4096))
        check_refused(scene, opened, r"long\.tar is no whole archive: .*1073741824", "long.tar", "detect")


def test_bombs_are_refused_while_they_unpack(
    scene: Scene, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "FREE_BYTES", 1 << 20)
    with zipfile.ZipFile(scene.data / "datasets/bomb.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.txt", bytes(4 << 20))
    want = r"bomb\.zip is a decompression bomb: .*200 times.*'a\.txt'"
    check_refused(scene, opened, want, "bomb.zip", "detect")
    with tarfile.open(scene.data / "datasets/bomb.tgz", "w:gz") as tar, Path("/dev/zero").open("rb") as zeros:
        tar.addfile(entry("a.txt", size=4 << 20), zeros)
    check_refused(scene, opened, "decompression bomb", "bomb.tgz", "detect")


def test_totals_are_bounded(scene: Scene, opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pack_zip(scene.demo, scene.data / "datasets/demo.zip")
    monkeypatch.setattr(archive, "MAX_BYTES", 100)
    check_refused(scene, opened, "unpacks to more than 100 bytes", "demo.zip", "detect")
    monkeypatch.setattr(archive, "MAX_ENTRIES", 3)
    check_refused(scene, opened, "more than 3 entries", "demo.zip", "detect")


def test_entry_that_does_not_fit_is_told_before_it_is_written(scene: Scene, opened: list[str]) -> None:
    header = entry("huge.bin", size=1 << 60).tobuf(tarfile.GNU_FORMAT)
    (scene.data / "datasets/huge.tar").write_bytes(header + bytes(1024))
    want = r"'huge\.bin' has \d+ bytes, more than the volume has room"
    check_refused(scene, opened, want, "huge.tar", "detect")


def test_archives_in_an_archive_stay_packed(scene: Scene) -> None:
    inner = pack_zip(scene.demo, scene.data.parent / "inner.zip")
    (scene.demo / "inner.zip").write_bytes(inner.read_bytes())
    pack_zip(scene.demo, scene.data / "datasets/outer.zip")
    found = prepare(scene, "outer.zip")
    assert found.details.dataset.images == 3
    (folder,) = [p for p in scene.world.volume.unpacked.iterdir() if not p.name.startswith(".")]
    assert (folder / "inner.zip").is_file()


# --- what is allowed ----------------------------------------------------------------------------------------


def test_honest_data_set_passes(scene: Scene, opened: list[str]) -> None:
    before = snapshot(scene.outside)
    assert prepare(scene).details.dataset.skipped == {}
    check_untouched(scene, opened, before)
    assert str(scene.demo / "data.yaml") in opened


def test_aliases_of_honest_size_pass(scene: Scene) -> None:
    scene.yaml("train: &t [images/train]\nval: *t\nnames: [a]\n")
    assert prepare(scene).details.dataset.val_images == 2
