#!/bin/sh
# Datumaro 1.13.12, format `coco_instances`: boxes of one label and one group become ONE annotation, whose box goes
# around all of them; two cars that an annotator grouped, 19 pixels apart, come out as one car of 39 pixels. Other
# formats (Pascal VOC, Darknet) of the same data set keep two.
# Remedy: take the group off (set `group` to 0) before that export where a group is not one object.
set -eu
DATUMARO=1.13.12
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "datumaro==$DATUMARO"
"$folder/venv/bin/python" - "$folder" 2>"$folder/said" <<'PYTHON' || { cat "$folder/said"; exit 1; }
import json, pathlib, sys

import numpy as np
import datumaro
from datumaro.components.annotation import AnnotationType, Bbox, LabelCategories
from datumaro.components.media import Image


def export(form: str, group: int) -> pathlib.Path:
    cars = [Bbox(x, 1, 10, 10, label=0, group=group) for x in (1, 30)]
    media = Image.from_numpy(np.zeros((48, 64, 3), np.uint8))
    item = datumaro.DatasetItem(id="street", subset="train", media=media, annotations=cars)
    categories = {AnnotationType.label: LabelCategories.from_iterable(["car"])}
    place = pathlib.Path(sys.argv[1], f"{form}-{group}")
    datumaro.Dataset.from_iterable([item], categories=categories).export(str(place), form, save_media=True)
    return place


def boxes(group: int) -> list[list[float]]:
    (file,) = export("coco_instances", group).glob("annotations/*.json")
    return [annotation["bbox"] for annotation in json.loads(file.read_text())["annotations"]]


found, alone = boxes(1), boxes(0)
rows = (export("yolo", 1) / "obj_train_data/street.txt").read_text().splitlines()
print(f"datumaro {datumaro.__version__}: grouped {found}, not grouped {alone}, as Darknet {len(rows)} rows")
if found != [[1.0, 1.0, 39.0, 10.0]] or len(alone) != 2 or len(rows) != 2:
    sys.exit("CHANGED: want one box around both where they are grouped, else two")
PYTHON
