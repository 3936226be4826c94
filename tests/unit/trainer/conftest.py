"""A data volume with tiny images, and configurations for it."""

import json
from pathlib import Path

import pytest
from PIL import Image

from yolo_crds.layout import DataVolume, RunFolder
from yolo_crds.trainer import TrainerConfig

EXAMPLE = {
    "dataset_name": "helmet_demo",
    "describe": "three images, two classes",
    "add_time": 1726815600.25,
    "update_time": -1,
    "model_name": "helmet",
    "model_version": "v0.0.1",
    "label_used": ["helmet", "person"],
    "uc_list": ["Fwe00a1", "Fwe00a2", "Fwe00a3"],
    "shapes": {
        "Fwe00a1": [
            {"shape_type": "rectangle", "label": "helmet", "points": [[480, 120], [608, 264]], "conf": -1},
            {"shape_type": "rectangle", "label": "vest", "points": [[432, 300], [690, 610]], "conf": 0.87},
        ],
        "Fwe00a2": [
            {
                "shape_type": "polygon",
                "label": "person",
                "points": [[10, 20], [50, 25], [42, 90], [8, 80]],
                "conf": -1,
            }
        ],
    },
    "size_info": {"Fwe00a1": [1920, 1080], "Fwe00a2": [640, 480], "Fwe00a3": [640, 480]},
}


class World:
    """A data volume and a run volume in a temporary folder."""

    def __init__(self, root: Path) -> None:
        self.data = root / "data"
        self.runs = root / "runs"
        for name in ("img_cache", "ucd", "datasets", "weights"):
            (self.data / name).mkdir(parents=True)
        self.runs.mkdir()
        self.volume = DataVolume(self.data)
        self.reports: list[dict[str, object]] = []

    def report(self, **fields: object) -> None:
        self.reports.append(fields)

    def image(self, path: str, size: tuple[int, int] = (64, 48), shade: int = 0) -> Path:
        """An image whose content is told by size and shade."""
        file = self.data / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, (shade % 256, shade // 256, 7)).save(file)
        return file

    def text(self, path: str, text: str) -> Path:
        file = self.data / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def ucd(self, name: str, content: object) -> Path:
        return self.text(f"ucd/{name}.json", json.dumps(content))

    def example(self) -> None:
        """The data set of the format's description, its images in the sizes that it gives."""
        self.ucd("helmet_demo", EXAMPLE)
        for shade, (uc, size) in enumerate([("1", (1920, 1080)), ("2", (640, 480)), ("3", (640, 480))]):
            self.image(f"img_cache/Fwe00a{uc}.jpg", size, shade * 40)

    def many(self, name: str = "many", count: int = 10) -> None:
        """A UCD data set of one box an image, class `a`."""
        codes = [f"Fwe{i:04}" for i in range(count)]
        for i, code in enumerate(codes):
            self.image(f"img_cache/{code}.jpg", shade=i * 25)
        box = {"shape_type": "rectangle", "label": "a", "points": [[8, 8], [40, 40]]}
        self.ucd(name, {"uc_list": codes, "shapes": {code: [box] for code in codes}})

    def snapshot(self, folder: Path) -> dict[str, object]:
        """All that a program could change below a folder: names, contents, links, modes, times of change."""
        found: dict[str, object] = {}
        for path in sorted(folder.rglob("*")):
            stat = path.lstat()
            content = path.read_bytes() if path.is_file() else None
            found[str(path.relative_to(folder))] = (content, stat.st_mode, stat.st_mtime_ns, stat.st_ino)
        return found

    def config(
        self, attempt: int = 1, *, resume: bool = False, run: int = 1, **template: object
    ) -> TrainerConfig:
        data = template.pop("data", {"train": "helmet_demo", "labels": ["helmet", "person"]})
        return TrainerConfig.model_validate(
            {
                "name": "demo",
                "uid": "1234567890",
                "modelName": "demo",
                "run": run,
                "attempt": attempt,
                "resume": resume,
                "template": {"model": "yolo11n.yaml", "data": data, **template},
                "dataDir": str(self.data),
                "runsDir": str(self.runs),
            }
        )

    @property
    def folder(self) -> RunFolder:
        return RunFolder("demo", self.runs)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def runs(world: World) -> Path:
    """A run volume that some training was on."""
    folder = world.runs / "train"
    folder.mkdir()
    return folder
