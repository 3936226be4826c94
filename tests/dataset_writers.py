"""The same labelled images in every format that prepare reads, as their tools export them."""

import io
import json
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

WIDTH, HEIGHT = 64, 48
NAMES = ["helmet", "person"]
Box = tuple[str, int, int, int, int]
Truth = dict[str, list[Box]]
"""Boxes by image name: label, x1, y1, x2, y2 in pixels."""


def make_truth(count: int) -> Truth:
    """Boxes on `count` images, every fifth a background."""
    truth: Truth = {}
    for i in range(count):
        boxes = [
            (NAMES[(i + k) % 2], 3 + (i + 7 * k) % 20, 2 + i % 13, 30 + (i * 5 + k) % 34, 20 + (i * 3) % 28)
            for k in range(1 + i % 3)
        ]
        truth[f"img_{i:03}.png"] = boxes if i % 5 else []
    return truth


def write_images(folder: Path, truth: Truth) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(truth):
        (folder / name).write_bytes(_png(bytes([i, 3 * i % 256, 7])))
    return folder


def _png(colour: bytes) -> bytes:
    """An image of one colour: stored, not compressed, so that its bytes depend on no library's version."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + colour * WIDTH) * HEIGHT, level=0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _copy(images: Path, target: Path) -> None:
    shutil.copytree(images, target, dirs_exist_ok=True)


def _json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def _rows(boxes: list[Box]) -> str:
    return "".join(
        f"{NAMES.index(label)} {(x1 + x2) / 2 / WIDTH:.6f} {(y1 + y2) / 2 / HEIGHT:.6f} "
        f"{(x2 - x1) / WIDTH:.6f} {(y2 - y1) / HEIGHT:.6f}\n"
        for label, x1, y1, x2, y2 in boxes
    )


def _label_files(folder: Path, truth: Truth) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, boxes in truth.items():
        (folder / name).with_suffix(".txt").write_text(_rows(boxes))


def ucd_content(truth: Truth) -> dict[str, object]:
    return {
        "uc_list": [Path(name).stem for name in truth],
        "shapes": {
            Path(name).stem: [
                {"shape_type": "rectangle", "label": label, "points": [[x1, y1], [x2, y2]]}
                for label, x1, y1, x2, y2 in boxes
            ]
            for name, boxes in truth.items()
            if boxes
        },
        "size_info": {Path(name).stem: [WIDTH, HEIGHT] for name in truth},
    }


def write_ucd(folder: Path, images: Path, truth: Truth) -> None:
    _copy(images, folder / "img_cache")
    _json(folder / "demo.json", ucd_content(truth))


def write_ucd_split(folder: Path, images: Path, truth: Truth) -> None:
    """One .uci, .obi and .szi, and further volumes of ten images."""
    _copy(images, folder / "img_cache")
    codes = list(truth)
    for start in range(0, len(codes), 10):
        part = ucd_content({name: truth[name] for name in codes[start : start + 10]})
        uci, obi, szi = ("uci", "obi", "szi") if not start else (f"{k}{start // 10}" for k in "uos")
        _json(folder / f"demo.{uci}", {"uc_list": part["uc_list"], "volume_size": 10})
        _json(folder / f"demo.{obi}", {"shapes": part["shapes"]})
        _json(folder / f"demo.{szi}", {"size_info": part["size_info"]})


def write_ucd_xml_info(folder: Path, images: Path, truth: Truth) -> None:
    _copy(images, folder / "img_cache")
    rows = {
        Path(name).stem: [[*map(str, box), "-1", label] for label, *box in boxes]
        for name, boxes in truth.items()
    }
    _json(folder / "demo.json", {"uc_list": list(rows), "xml_info": rows})


def write_yolo(folder: Path, images: Path, truth: Truth) -> None:
    """CVAT's `Ultralytics YOLO Detection 1.0`: a data.yaml and a list of images."""
    _copy(images, folder / "images/train")
    _label_files(folder / "labels/train", truth)
    names = "".join(f"  {i}: {name}\n" for i, name in enumerate(NAMES))
    (folder / "data.yaml").write_text(f"names:\n{names}path: .\ntrain: train.txt\n")
    (folder / "train.txt").write_text("".join(f"images/train/{name}\n" for name in truth))


def write_roboflow(folder: Path, images: Path, truth: Truth) -> None:
    _copy(images, folder / "train/images")
    _label_files(folder / "train/labels", truth)
    (folder / "README.roboflow.txt").write_text("demo\n")
    (folder / "data.yaml").write_text(
        f"names: {NAMES}\nnc: 2\nroboflow:\n  version: 1\ntrain: ../train/images\n"
    )


def write_labelimg(folder: Path, images: Path, truth: Truth) -> None:
    """LabelImg in its YOLO mode: a folder for what is saved, with the class names among it."""
    _copy(images, folder / "images")
    _label_files(folder / "labels", truth)
    (folder / "labels/classes.txt").write_text("\n".join(NAMES) + "\n")


def write_labelimg_beside(folder: Path, images: Path, truth: Truth) -> None:
    """The same, saved beside the images; no file where nothing was drawn."""
    _copy(images, folder)
    _label_files(folder, {name: boxes for name, boxes in truth.items() if boxes})
    (folder / "classes.txt").write_text("\n".join(NAMES) + "\n")


def write_label_studio(folder: Path, images: Path, truth: Truth) -> None:
    _copy(images, folder / "images")
    _label_files(folder / "labels", truth)
    (folder / "classes.txt").write_text("\n".join(NAMES))
    categories = [{"id": i, "name": name} for i, name in enumerate(NAMES)]
    _json(folder / "notes.json", {"categories": categories, "info": {"contributor": "Label Studio"}})


def write_cvat_yolo(folder: Path, images: Path, truth: Truth) -> None:
    """CVAT's `YOLO 1.1`."""
    _copy(images, folder / "obj_train_data")
    _label_files(folder / "obj_train_data", truth)
    (folder / "obj.names").write_text("".join(f"{name}\n" for name in NAMES))
    (folder / "obj.data").write_text(
        "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n"
    )
    (folder / "train.txt").write_text("".join(f"data/obj_train_data/{name}\n" for name in truth))


def coco_content(truth: Truth, first_category: int = 1) -> dict[str, object]:
    annotations = [
        {
            "id": i + 1,
            "image_id": image,
            "category_id": NAMES.index(label) + first_category,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1),
            "segmentation": [],
            "iscrowd": 0,
        }
        for i, (image, (label, x1, y1, x2, y2)) in enumerate(
            (image, box) for image, boxes in enumerate(truth.values()) for box in boxes
        )
    ]
    return {
        "images": [
            {"id": i, "file_name": name, "width": WIDTH, "height": HEIGHT} for i, name in enumerate(truth)
        ],
        "annotations": annotations,
        "categories": [
            {"id": i + first_category, "name": name, "supercategory": "things"}
            for i, name in enumerate(NAMES)
        ],
    }


def write_coco(folder: Path, images: Path, truth: Truth) -> None:
    """CVAT's layout, which is the data set's own."""
    _copy(images, folder / "images/default")
    _json(folder / "annotations/instances_default.json", coco_content(truth))


def write_roboflow_coco(folder: Path, images: Path, truth: Truth) -> None:
    """Everything in one folder, and a category that only groups the others."""
    _copy(images, folder / "train")
    content = coco_content(truth)
    group = {"id": 0, "name": "things", "supercategory": "none"}
    _json(
        folder / "train/_annotations.coco.json",
        {**content, "categories": [group, *content["categories"]]},  # type: ignore[misc]
    )


def voc_text(name: str, boxes: list[Box]) -> str:
    objects = "".join(
        f"<object>\n<name>{label}</name><difficult>0</difficult>\n<bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin>"
        f"<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox>\n</object>\n"
        for label, x1, y1, x2, y2 in boxes
    )
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    return f"<annotation>\n<filename>{name}</filename>\n{size}\n{objects}</annotation>\n"


def write_voc(folder: Path, images: Path, truth: Truth) -> None:
    _copy(images, folder / "JPEGImages")
    (folder / "Annotations").mkdir()
    for name, boxes in truth.items():
        (folder / "Annotations" / name).with_suffix(".xml").write_text(voc_text(name, boxes))


def write_roboflow_voc(folder: Path, images: Path, truth: Truth) -> None:
    _copy(images, folder / "train")
    for name, boxes in truth.items():
        (folder / "train" / name).with_suffix(".xml").write_text(voc_text(name, boxes))


def labelme_content(name: str, boxes: list[Box]) -> dict[str, object]:
    shapes: list[dict[str, object]] = [
        {
            "label": label,
            "points": [[x2, y1], [x1, y2]],
            "shape_type": "rectangle",
            "group_id": None,
            "flags": {},
        }
        for label, x1, y1, x2, y2 in boxes
    ]
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": name,
        "imageData": None,
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
    }


def write_x_anylabeling(folder: Path, images: Path, truth: Truth) -> None:
    """Rectangles by four corners, turned ones called `rotation`, and keys of its own."""
    _copy(images, folder)
    for name, boxes in truth.items():
        shapes: list[dict[str, object]] = [
            {
                "label": label,
                "score": None,
                "points": [[x1, y1], [x2, y1], [x2, y2], [x1, y2]],
                "group_id": None,
                "description": "",
                "difficult": False,
                "shape_type": ("rectangle", "rotation", "polygon")[i % 3],
                "flags": {},
                "attributes": {},
                "kie_linking": [],
                **({"direction": 0.0} if i % 3 == 1 else {}),
            }
            for i, (label, x1, y1, x2, y2) in enumerate(boxes)
        ]
        content = {**labelme_content(name, []), "version": "3.2.1", "shapes": shapes}
        _json((folder / name).with_suffix(".json"), content)


def write_labelme(folder: Path, images: Path, truth: Truth) -> None:
    """As the tool saves: a JSON beside each image, none where nothing was drawn."""
    _copy(images, folder)
    for name, boxes in truth.items():
        if boxes:
            _json((folder / name).with_suffix(".json"), labelme_content(name, boxes))


WRITERS: dict[str, tuple[str, Callable[[Path, Path, Truth], None]]] = {
    "ucd": ("ucd", write_ucd),
    "ucd-split": ("ucd", write_ucd_split),
    "ucd-xml-info": ("ucd", write_ucd_xml_info),
    "yolo": ("yolo", write_yolo),
    "roboflow-yolo": ("yolo", write_roboflow),
    "label-studio-yolo": ("yolo", write_label_studio),
    "labelimg-yolo": ("yolo", write_labelimg),
    "labelimg-yolo-beside": ("yolo", write_labelimg_beside),
    "cvat-yolo-1.1": ("yolo", write_cvat_yolo),
    "coco": ("coco", write_coco),
    "roboflow-coco": ("coco", write_roboflow_coco),
    "voc": ("voc", write_voc),
    "roboflow-voc": ("voc", write_roboflow_voc),
    "labelme": ("labelme", write_labelme),
    "x-anylabeling": ("labelme", write_x_anylabeling),
}
"""By name: the kind that it is to be taken for, and what writes it."""


def _parts(truth: Truth) -> dict[str, Truth]:
    """Every fifth image for validation, as exports with a split of their own have it."""
    names = list(truth)
    return {
        "train": {name: truth[name] for i, name in enumerate(names) if i % 5 != 4},
        "val": {name: truth[name] for i, name in enumerate(names) if i % 5 == 4},
    }


def _copy_part(images: Path, target: Path, part: Truth) -> None:
    target.mkdir(parents=True)
    for name in part:
        shutil.copyfile(images / name, target / name)


def write_roboflow_split(folder: Path, images: Path, truth: Truth) -> None:
    """Roboflow's YOLO zip: three folders, paths that lead to beside the data.yaml, two readmes."""
    for split, part in _parts(truth).items():
        split = split.replace("val", "valid")
        _copy_part(images, folder / split / "images", part)
        _label_files(folder / split / "labels", part)
    _copy_part(images, folder / "test/images", {})
    for name in ("README.dataset.txt", "README.roboflow.txt"):
        (folder / name).write_text("demo > 2026-01-01\nhttps://universe.roboflow.com/demo\n")
    (folder / "data.yaml").write_text(
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\n"
        f"nc: {len(NAMES)}\nnames: {NAMES}\n\nroboflow:\n  workspace: demo\n  version: 1\n"
    )


def write_fiftyone(folder: Path, images: Path, truth: Truth) -> None:
    """FiftyOne's YOLOv5Dataset: the path of the machine that exported it, and folders with a slash."""
    for split, part in _parts(truth).items():
        _copy_part(images, folder / "images" / split, part)
        _label_files(folder / "labels" / split, {name: boxes for name, boxes in part.items() if boxes})
    names = "".join(f"  {i}: {name}\n" for i, name in enumerate(NAMES))
    (folder / "dataset.yaml").write_text(
        f"names:\n{names}path: /home/ann/exports/demo\ntrain: ./images/train/\nval: ./images/val/\n"
    )


def write_roboflow_coco_split(folder: Path, images: Path, truth: Truth) -> None:
    """One file of one name in each of the folders."""
    group = {"id": 0, "name": "things", "supercategory": "none"}
    for split, part in _parts(truth).items():
        split = split.replace("val", "valid")
        _copy_part(images, folder / split, part)
        content: dict[str, Any] = coco_content(part)
        content["categories"] = [group, *content["categories"]]
        _json(folder / split / "_annotations.coco.json", content)


def write_roboflow_voc_split(folder: Path, images: Path, truth: Truth) -> None:
    for split, part in _parts(truth).items():
        split = split.replace("val", "valid")
        _copy_part(images, folder / split, part)
        for name, boxes in part.items():
            (folder / split / name).with_suffix(".xml").write_text(voc_text(name, boxes))


def write_cvat_yolo_split(folder: Path, images: Path, truth: Truth) -> None:
    """`YOLO 1.1` of a task with two subsets."""
    lists = {"train": "Train", "val": "Validation"}
    for split, part in _parts(truth).items():
        target = folder / f"obj_{lists[split]}_data"
        _copy_part(images, target, part)
        _label_files(target, part)
        (folder / f"{lists[split]}.txt").write_text("".join(f"data/{target.name}/{name}\n" for name in part))
    (folder / "obj.names").write_text("".join(f"{name}\n" for name in NAMES))
    (folder / "obj.data").write_text(
        "classes = 2\ntrain = data/Train.txt\nvalid = data/Validation.txt\nnames = data/obj.names\n"
        "backup = backup/\n"
    )


SPLIT_WRITERS: dict[str, tuple[str, Callable[[Path, Path, Truth], None]]] = {
    "roboflow-yolo": ("yolo", write_roboflow_split),
    "fiftyone-yolov5": ("yolo", write_fiftyone),
    "cvat-yolo-1.1": ("yolo", write_cvat_yolo_split),
    "roboflow-coco": ("coco", write_roboflow_coco_split),
    "roboflow-voc": ("voc", write_roboflow_voc_split),
}
"""Exports that bring a split into training and validation images along."""


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    return ((p, str(p.relative_to(folder))) for p in sorted(folder.rglob("*")))


def pack_zip(folder: Path, target: Path, wrapping: str = "") -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, name in _files(folder):
            archive.write(path, f"{wrapping}{name}")
    return target


def pack_tar(folder: Path, target: Path, wrapping: str = "") -> Path:
    with tarfile.open(target, "w:gz" if target.name.endswith("gz") else "w") as archive:
        for path, name in _files(folder):
            archive.add(path, f"{wrapping}{name}", recursive=False)
    return target


def tar_of(target: Path, *members: tarfile.TarInfo, content: bytes = b"x") -> Path:
    """A tar of hand-made entries."""
    with tarfile.open(target, "w") as archive:
        for member in members:
            member.size = len(content) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(content))
    return target
