"""Makes Ultralytics keep decoded images in a folder of ours: beside the images it may not write."""

from __future__ import annotations

import hashlib
import logging
import secrets
from pathlib import Path
from typing import Any

import numpy as np
from ultralytics.data.base import BaseDataset
from ultralytics.utils.patches import imread

from ..process.report import Report

logger = logging.getLogger(__name__)


def keep_in(folder: Path) -> None:
    """From now on files of `cache: disk` go into `folder`, for all data sets of this process."""

    def check_cache_disk(self: Any, safety_margin: float = 0.1) -> bool:
        """Called before the first file is looked for; whether there is room was seen before."""
        del safety_margin
        self.npy_files = [folder / _name(file) for file in self.im_files]
        return True

    BaseDataset.check_cache_disk = check_cache_disk
    BaseDataset.cache_images_to_disk = _cache_image


def tell_when_refused(report: Report) -> None:
    """From now on the user hears of it when Ultralytics finds too little memory on the node."""
    check = BaseDataset.check_cache_ram

    def check_cache_ram(self: Any, *arguments: Any) -> bool:
        fits = bool(check(self, *arguments))
        if not fits:
            report.warning("cache: ram: the node has too little memory free; images are not cached")
        return fits

    BaseDataset.check_cache_ram = check_cache_ram


def _cache_image(self: Any, index: int) -> None:
    """Whole or not at all: the ranks of a training share the files. Without one the image itself is read."""
    file = self.npy_files[index]
    if file.exists():
        return
    temporary = file.with_name(f".{file.stem}-{secrets.token_hex(4)}")
    try:
        with temporary.open("wb") as stream:
            np.save(stream, imread(self.im_files[index], flags=self.cv2_flag), allow_pickle=False)
        temporary.replace(file)
    except (OSError, ValueError) as error:  # no room, no image
        temporary.unlink(missing_ok=True)
        logger.warning("image is not cached: %s", error)


def _name(file: str) -> str:
    return f"{hashlib.sha256(file.encode()).hexdigest()[:32]}.npy"
