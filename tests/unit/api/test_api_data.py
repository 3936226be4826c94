from pathlib import Path

import pytest

from yolo_api.data import DataAdvice, check_labels
from yolo_api.errors import InvalidFieldsError
from yolo_crds.trainer import Fetch


@pytest.fixture
def advice(data_dir: Path) -> DataAdvice:
    return DataAdvice(data_dir)


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        ("helmet_demo", "ucd/helmet_demo.json"),
        ("team/a", "ucd/team/a.json"),
        ("team\\a", "ucd/team/a.json"),
        ("split", "ucd/split.uci"),
        ("ucd/b.json", "ucd/b.json"),
        ("yolo", "datasets/yolo/data.yaml"),
        ("datasets/yolo/", "datasets/yolo/data.yaml"),
        ("datasets/yolo/data.yaml", "datasets/yolo/data.yaml"),
    ],
)
def test_check_data_finds_what_the_trainer_finds(
    advice: DataAdvice, data_dir: Path, reference: str, path: str
) -> None:
    (data_dir / path).parent.mkdir(parents=True, exist_ok=True)
    (data_dir / path).touch()
    assert advice.check_data("train_ucd", reference) == []


def test_check_data_takes_an_absolute_path_below_the_volume(advice: DataAdvice, data_dir: Path) -> None:
    assert advice.check_data("train_ucd", str(data_dir / "ucd" / "helmet_demo.json")) == []


def test_check_data_says_where_it_looked(advice: DataAdvice, data_dir: Path) -> None:
    places = ("nope", "ucd/nope.json", "ucd/nope", "ucd/nope.uci", "datasets/nope")
    looked = ", ".join(str(data_dir / place) for place in places)
    want = f"'nope' was not found on the data volume; looked for {looked}"
    assert advice.check_data("val_ucd", "nope") == [("val_ucd", want)]


@pytest.mark.parametrize(
    ("reference", "want"),
    [
        ("helmet_dmeo", "helmet_demo"),
        ("digits-trian", "digits-train"),
        ("datasets/digits-trian", "datasets/digits-train"),
        ("team\\halmets", "team/helmets"),
        ("helmet_demo.jsn", "helmet_demo.json"),
        ("ucd/helmet_deom.json", "ucd/helmet_demo.json"),
    ],
)
def test_check_data_says_what_was_meant(
    advice: DataAdvice, data_dir: Path, reference: str, want: str
) -> None:
    (data_dir / "datasets" / "digits-train").mkdir()
    (data_dir / "ucd" / "team").mkdir()
    (data_dir / "ucd" / "team" / "helmets.json").touch()
    ((_, message),) = advice.check_data("train_ucd", reference)
    assert message.endswith(f"; did you mean {want!r}?")


@pytest.mark.parametrize("reference", ["../x", "/etc/passwd", "ucd/../../x", "..\\x", "link"])
def test_check_data_refuses_what_leads_out(advice: DataAdvice, data_dir: Path, reference: str) -> None:
    (data_dir / "link").symlink_to("/etc")
    shown = reference.replace("\\", "/")
    want = f"{shown!r} is not below the data volume; give a path relative to its root"
    assert advice.check_data("train_ucd", reference) == [("train_ucd", want)]


def test_check_data_refuses_what_is_no_path(advice: DataAdvice) -> None:
    want = "'a\\x00b' is no path: it contains a NUL character"
    assert advice.check_data("train_ucd", "a\0b") == [("train_ucd", want)]


IN_LIST = "A class of such a name is given in a list"
SERVER = Fetch(ucd_server="http://ucd.example.org:8080")
ARCHIVES = Fetch(archives=True)
URL = "https://example.org/a.zip?sig=secret/"


@pytest.mark.parametrize(
    ("fetch", "reference"), [(SERVER, "nope"), (SERVER, "team\\nope"), (ARCHIVES, URL), (ARCHIVES, f" {URL}")]
)
def test_check_data_leaves_what_may_be_fetched_to_prepare(
    data_dir: Path, fetch: Fetch, reference: str
) -> None:
    assert DataAdvice(data_dir, fetch).check_data("train_ucd", reference) == []


@pytest.mark.parametrize(
    ("fetch", "reference", "want"),
    [
        (SERVER, "../x", "'../x' is not below the data volume; give a path relative to its root"),
        (SERVER, "{root}/nope", "'{root}/nope' was not found on the data volume; looked for {root}/nope"),
        (ARCHIVES, "nope.zip", "'nope.zip' was not found on the data volume; looked for {root}/nope.zip,"),
        (
            SERVER,
            URL,
            "'https://example.org/a.zip' is not fetched here; the chart's fetch.archives.enabled allows it",
        ),
        (
            ARCHIVES,
            "http://example.org/a.zip",
            "'http://example.org/a.zip' is not fetched; give an https:// URL",
        ),
    ],
)
def test_check_data_refuses_what_cannot_be_fetched(
    data_dir: Path, fetch: Fetch, reference: str, want: str
) -> None:
    got = DataAdvice(data_dir, fetch).check_data("val_ucd", reference.format(root=data_dir))
    ((field, message),) = got
    assert field == "val_ucd"
    assert message.startswith(want.format(root=data_dir))
    assert "secret" not in message


@pytest.mark.parametrize("val", ["None", "none", "", " "])
def test_check_data_takes_none_for_validation_only(advice: DataAdvice, val: str) -> None:
    assert advice.check_data("val_ucd", val) == []
    assert len(advice.check_data("train_ucd", "None")) == 1


def test_checks_are_silent_without_the_volume(tmp_path: Path) -> None:
    advice = DataAdvice(tmp_path / "not mounted")
    assert advice.check_data("train_ucd", "nope") == []
    assert advice.check_weights("model_type", "yolov5s") == []


@pytest.mark.parametrize(
    "model", ["yolov5s", "yolov5s.pt", "mine/v1.pt", "yolo11n.yaml", "yolov5s6.yaml", "own.yaml"]
)
def test_check_weights_is_content(advice: DataAdvice, data_dir: Path, model: str) -> None:
    (data_dir / "weights" / "mine").mkdir()
    (data_dir / "weights" / "mine" / "v1.pt").touch()
    (data_dir / "weights" / "own.yaml").touch()
    assert advice.check_weights("model_type", model) == []


@pytest.mark.parametrize(
    ("model", "want"),
    [
        (
            "yolov5m",
            "the pretrained weights yolov5mu.pt are not in {weights}; put them there, or train from scratch "
            "with yolov5m.yaml",
        ),
        (
            "yolo11n-seg.pt",
            "the pretrained weights yolo11n-seg.pt are not in {weights}; put them there, or train from "
            "scratch with yolo11n-seg.yaml",
        ),
        (
            "yolo11q",
            "the pretrained weights yolo11q.pt are not in {weights}; put them there; did you mean 'yolo11m'?",
        ),
        (
            "yollo11n.yaml",
            "'yollo11n.yaml' is neither known to Ultralytics nor in {weights}; did you mean 'yolo11n'?",
        ),
        ("../x.pt", "'../x.pt' is not below the weights folder; give the path relative to it"),
        ("x.onnx", "'x.onnx' cannot be trained; give a .pt checkpoint or a .yaml architecture"),
    ],
)
def test_check_weights_says_what_is_missing(
    advice: DataAdvice, data_dir: Path, model: str, want: str
) -> None:
    (problem,) = advice.check_weights("model_type", model)
    field, message = problem
    assert field == "model_type"
    if "did you mean" in want:
        want, message = want.rpartition("; ")[0], message.rpartition("; ")[0]
    assert message == want.format(weights=data_dir / "weights")


@pytest.mark.parametrize(
    ("labels", "want"),
    [
        ("helmet", ["helmet"]),
        (["helmet", " person"], ["helmet", "person"]),
        (["car/truck"], ["car/truck"]),
        ("a/b,c", ["a/b", "c"]),
        ("b, a ,c", ["b", "a", "c"]),
        ("a,b,", ["a", "b"]),
        ("安全帽,人", ["安全帽", "人"]),
    ],
)
def test_read_labels_of_names(advice: DataAdvice, labels: str | list[str], want: list[str]) -> None:
    assert advice.read_labels(labels) == want


@pytest.mark.parametrize("labels", ["labels.txt", "sub/classes.names", "sub\\classes.names"])
def test_read_labels_of_a_file(advice: DataAdvice, data_dir: Path, labels: str) -> None:
    path = data_dir / labels.replace("\\", "/")
    path.parent.mkdir(exist_ok=True)
    path.write_text("\ufeffhelmet\r\n person, sitting \n\n")
    assert advice.read_labels(labels) == ["helmet", "person, sitting"]


@pytest.mark.parametrize(
    ("labels", "want"),
    [
        *(
            (
                path,
                f"labels: {path!r} was not found; looked for {{root}}/{path}. {IN_LIST}",
            )
            for path in ("missing.txt", "classes/all", "coco128.yml", "MISSING.TXT", "a.json")
        ),
        (
            "labls.txt",
            "labels: 'labls.txt' was not found; looked for {root}/labls.txt; did you mean 'labels.txt'? "
            f"{IN_LIST}",
        ),
        (
            "found.yaml",
            "labels: 'found.yaml' is no text file with one name a line; give that, or the names t",
        ),
        (
            "../x.txt",
            "labels: '../x.txt' cannot be read: '../x.txt' is not below the data volume; give a path "
            "relative to its root",
        ),
        ("binary.txt", "labels: 'binary.txt' is no text file in UTF-8"),
        (",", "labels: names no class; give class names joined by ','"),
        ("a,,b", "labels: name 2 of 3 is empty; give every class index a name"),
        ("a,b,a", "labels: 'a' is given twice; each class name has one index"),
        (",".join(map(str, range(1001))), "labels: names 1001 classes; at most 1000"),
        ("x" * 129, f"labels: {'x' * 40!r}... is too long for a class name; at most 128 characters"),
    ],
)
def test_read_labels_refuses(advice: DataAdvice, data_dir: Path, labels: str, want: str) -> None:
    (data_dir / "binary.txt").write_bytes(b"\xff\xfe\x00")
    (data_dir / "labels.txt").touch()
    (data_dir / "found.yaml").write_text("names: [a]")
    with pytest.raises(InvalidFieldsError) as refused:
        advice.read_labels(labels)
    assert str(refused.value).startswith(want.format(root=data_dir))


def test_check_labels_keeps_the_order() -> None:
    assert check_labels(["z", " a", "m "]) == ["z", "a", "m"]
