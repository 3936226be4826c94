#!/bin/sh
# Datumaro 1.13.12, format `yolo` (Darknet): an image whose objects are polygons or masks gets an empty label file
# and stays in train.txt. Nothing is said, and an empty label file is how Darknet and YOLO write "there is nothing
# here": a model is then trained that the objects are background.
# Remedy: transform the annotations to boxes before that export, or export `coco_instances`.
set -eu
DATUMARO=1.13.12
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "datumaro==$DATUMARO"
"$folder/venv/bin/python" - "$folder/export" 2>"$folder/said" <<'PYTHON' || { cat "$folder/said"; exit 1; }
import pathlib, sys

import numpy as np
import datumaro
from datumaro.components.annotation import AnnotationType, Bbox, LabelCategories, Mask, Polygon
from datumaro.components.media import Image

mask = np.zeros((48, 64), bool)
mask[10:30, 20:40] = True
objects = {
    "box": Bbox(20, 10, 20, 20, label=0),
    "mask": Mask(mask, label=0),
    "polygon": Polygon([20, 10, 40, 10, 40, 30, 20, 30], label=0),
}
items = [
    datumaro.DatasetItem(
        id=name, subset="train", media=Image.from_numpy(np.zeros((48, 64, 3), np.uint8)), annotations=[annotation]
    )
    for name, annotation in objects.items()
]
categories = {AnnotationType.label: LabelCategories.from_iterable(["plate"])}
datumaro.Dataset.from_iterable(items, categories=categories).export(sys.argv[1], "yolo", save_media=True)

export = pathlib.Path(sys.argv[1])
rows = {name: (export / f"obj_train_data/{name}.txt").read_text() for name in objects}
listed = (export / "train.txt").read_text().split()
print(f"datumaro {datumaro.__version__}: {rows}, listed for training: {len(listed)}")
if rows["mask"] or rows["polygon"] or not rows["box"] or len(listed) != 3:
    sys.exit("CHANGED: want rows for the box alone, and all three images in train.txt")
PYTHON
if grep -i "mask\|polygon\|skip" "$folder/said"; then
    echo "CHANGED: it says something now"
    exit 1
fi
