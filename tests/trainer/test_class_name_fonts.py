"""Class names of any script in Ultralytics' own plots, drawn with the image's fonts."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

pytest.importorskip("ultralytics")
import matplotlib.pyplot as plt
import torch
from matplotlib import font_manager, ft2font
from ultralytics.utils import plotting
from ultralytics.utils.metrics import ConfusionMatrix, plot_pr_curve

from yolo_trainer.data import contact_sheet

pytestmark = pytest.mark.image

NAMES = {
    0: "helmet 安全帽",  # Chinese, simplified
    1: "臺灣",  # and traditional
    2: "ヘルメット あか 霞ヶ関",  # Japanese: kana and kanji
    3: "안전모",  # Korean
    4: "Каска",
    5: "κράνος",
    6: "Größe mũ bảo hiểm",
    7: "קסדה",
}


def test_annotator_draws_no_missing_glyph() -> None:
    annotator = plotting.Annotator(np.zeros((64, 64, 3), np.uint8), example=str(NAMES))
    font = annotator.font
    assert isinstance(font, ImageFont.FreeTypeFont)
    box = bytes(font.getmask("\U0010ffff"))
    lacking = {c for name in NAMES.values() for c in name if bytes(font.getmask(c)) == box}
    assert lacking == set()
    assert (
        bytes(font.getmask("ก")) == box
    )  # Thai, which neither font has: the question can be answered with no


def test_the_contact_sheet_draws_no_missing_glyph() -> None:
    font = contact_sheet.name_font()
    assert isinstance(font, ImageFont.FreeTypeFont)
    box = bytes(font.getmask("\U0010ffff"))
    names = [*NAMES.values(), "خوذة"]
    assert {c for name in names for c in name if bytes(font.getmask(c)) == box} == set()


def test_matplotlib_has_a_font_for_every_character() -> None:
    properties = font_manager.FontProperties(family=plt.rcParams["font.family"])
    paths = font_manager.fontManager._find_fonts_by_props(properties)
    known = set().union(*(ft2font.FT2Font(path).get_charmap() for path in paths))
    assert {c for name in NAMES.values() for c in name if ord(c) not in known} == set()


def test_plots_of_ultralytics_warn_of_no_glyph(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    classes = np.arange(len(NAMES))
    boxes = np.full((len(NAMES), 4), 0.5)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        plotting.plot_labels(boxes, classes, NAMES, tmp_path)
        matrix = ConfusionMatrix(NAMES)
        matrix.matrix[:-1, :-1] = np.eye(len(NAMES))
        matrix.plot(save_dir=tmp_path)
        curve = np.linspace(0, 1, 20)
        plot_pr_curve(curve, [curve] * len(NAMES), np.ones((len(NAMES), 10)), tmp_path / "pr.png", NAMES)
        batch = {"cls": torch.arange(8.0), "bboxes": torch.full((8, 4), 0.5), "batch_idx": torch.arange(8.0)}
        images = torch.zeros(8, 3, 160, 160)
        plotting.plot_images(batch, images, names=NAMES, fname=tmp_path / "batch.jpg", threaded=False)
    words = [str(warning.message) for warning in found] + caplog.messages
    assert [text for text in words if "lyph" in text or "font" in text] == []
    for name in ("labels.jpg", "confusion_matrix_normalized.png", "pr.png", "batch.jpg"):
        with Image.open(tmp_path / name) as picture:
            picture.load()
