"""Exports that are not read: refused by name, with the file of their labels and the way to convert."""

import json
import re
from typing import Any

import pytest

from yolo_crds.training import Data, Task
from yolo_trainer.data.dataset import PreparedSet, prepare_dataset
from yolo_trainer.errors import InvalidDataError

CREATE_ML = [{"image": "a.jpg", "annotations": [{"label": "x", "coordinates": {"x": 9, "y": 9, "width": 4}}]}]
STUDIO = [{"id": 1, "annotations": [{"id": 1, "result": []}], "data": {"image": "/data/upload/a.jpg"}}]
MIN = [{"image": "a.jpg", "label": [], "annotator": 1, "lead_time": 2.5}]
VIA = {"a.jpg9": {"filename": "a.jpg", "size": 9, "regions": [{"shape_attributes": {"name": "rect"}}]}}
SUPERVISELY = {"size": {"height": 48}, "objects": [{"classTitle": "x", "points": {"exterior": [[1, 2]]}}]}
LABELBOX = {"data_row": {"id": "c1", "external_id": "a.jpg"}, "projects": {}}
PALIGEMMA = {"image": "a.jpg", "prefix": "detect x", "suffix": "<loc0001> x"}
GROUND_TRUTH = {"source-ref": "s3://bucket/a.jpg", "boxes": {}}
OPEN_IMAGES = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax\n"
VIA_CSV = (
    "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n"
)


def prepare(world: Any, train: str = "datasets/s", task: Task = "detect") -> PreparedSet:
    given = Data.model_validate({"train": train, "labels": ["x"]})
    return prepare_dataset(world.volume, given, task, world.report)


@pytest.mark.parametrize(
    ("file", "content", "name", "remedy"),
    [
        ("train/_annotations.createml.json", CREATE_ML, "CreateML JSON", "from Roboflow as COCO JSON"),
        ("project-1.json", STUDIO, "JSON of Label Studio", "from Label Studio as COCO JSON"),
        ("project-1-min.json", MIN, "JSON-MIN of Label Studio", "from Label Studio as COCO JSON"),
        (
            "via_project.json",
            {"_via_settings": {}},
            "a project of VIA",
            "in VIA export the annotations as COCO",
        ),
        ("default.json", {"info": {}, "categories": {}, "items": []}, "JSON of Datumaro", "as COCO JSON"),
        ("p-export.json", {"tags": [], "assets": {}}, "JSON of VoTT", "choose Pascal VOC"),
        ("a_gtFine_polygons.json", {"imgHeight": 48, "objects": []}, "JSON of Cityscapes", "convert it"),
        ("det_train.json", [{"name": "a.jpg", "labels": []}], "JSON of BDD100K", "convert it"),
        ("metadata.jsonl", {"file_name": "a.jpg", "objects": {}}, "metadata of Hugging Face", "into files"),
        ("via.json", VIA, "JSON of VIA", "in VIA export the annotations as COCO"),
        ("via.csv", VIA_CSV, "CSV of VIA", "in VIA export the annotations as COCO"),
        ("ds0/ann/a.jpg.json", SUPERVISELY, "a label file of Supervisely", "from Supervisely as COCO"),
        ("export.ndjson", LABELBOX, "NDJSON of Labelbox", "COCO JSON or to rows of YOLO"),
        ("_annotations.train.jsonl", PALIGEMMA, "JSON lines of Roboflow", "from Roboflow as COCO JSON"),
        ("output.manifest", GROUND_TRUTH, "a manifest of SageMaker", "COCO JSON or to rows of YOLO"),
        (
            "_annotations.csv",
            "filename,width,height,class,xmin,ymin,xmax,ymax\n",
            "TensorFlow's CSV",
            "Roboflow",
        ),
        ("boxes.csv", OPEN_IMAGES, "CSV of Open Images", "COCO JSON or to rows of YOLO"),
        ("train.csv", "image;xmin;ymin;xmax;ymax\n", "a table of boxes", "COCO JSON or to rows of YOLO"),
        ("_classes.csv", "filename, x, y\na.jpg, 0, 1\n", "a table of classes", "a folder of its own"),
        ("annotations.xml", "<annotations><meta></meta>", "XML of CVAT for images", "from CVAT as COCO JSON"),
        ("train/x.tfrecord", "\0\1", "a TFRecord, its images within", "from Roboflow as COCO JSON"),
        ("data/train-00000.parquet", "PAR1", "a table with images within", "write its images and labels"),
    ],
)
@pytest.mark.parametrize("beside", [(), ("a.jpg", "README.dataset.txt", "LICENSE.txt")])
def test_exports_that_are_not_read_are_named(
    world: Any, file: str, content: object, name: str, remedy: str, beside: tuple[str, ...]
) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    world.text(f"datasets/s/{file}", text)
    for other in beside:
        if other.endswith("jpg"):
            world.image(f"datasets/s/{other}")
        else:
            world.text(f"datasets/s/{other}", "read me\n")
    world.text("datasets/s/images/.hidden", "")
    with pytest.raises(InvalidDataError) as error:
        prepare(world)
    want = f"template.data.train: the labels of s are in {file}: {name}"
    assert error.value.message.startswith(want)
    assert re.search(remedy, error.value.hint or "")
    with pytest.raises(InvalidDataError, match=f"is {re.escape(name)}.*, which is not read"):
        prepare(world, f"datasets/s/{file}")


def test_exports_beside_rows_of_yolo_are_let_lie(world: Any) -> None:
    world.image("datasets/s/images/a.jpg")
    world.text("datasets/s/labels/a.txt", "0 0.5 0.5 0.2 0.2\n")
    world.text("datasets/s/boxes.csv", OPEN_IMAGES)
    assert prepare(world).details.dataset.kind == "yolo"


def test_table_of_classes_given_to_classification_is_named(world: Any) -> None:
    world.image("datasets/s/train/a.jpg")
    world.text("datasets/s/train/_classes.csv", "filename, x\na.jpg, 1\n")
    with pytest.raises(InvalidDataError, match=r"in train/_classes\.csv: a table of classes by image"):
        prepare(world, task="classify")


def test_class_that_is_called_as_a_key_of_another_format_is_no_sign_of_it(world: Any) -> None:
    world.image("datasets/s/a.jpg")
    world.image("datasets/s/b.jpg", shade=9)
    boxes = [{"image_id": i, "category_id": 1, "bbox": [8, 8, 16, 24]} for i in (0, 1)]
    content = {
        "categories": [{"id": 1, "name": "items"}, {"id": 2, "name": "tags"}, {"id": 3, "name": "assets"}],
        "images": [
            {"id": i, "file_name": name, "width": 64, "height": 48}
            for i, name in enumerate(("a.jpg", "b.jpg"))
        ],
        "annotations": boxes,
    }
    world.text("datasets/s/all.json", json.dumps(content))
    given = Data.model_validate({"train": "datasets/s/all.json"})
    found = prepare_dataset(world.volume, given, "detect", world.report)
    assert found.details.dataset.classes["items"] == 2
