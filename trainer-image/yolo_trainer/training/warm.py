"""Imports that every training needs, for a worker that waits for its turn meanwhile."""

from __future__ import annotations


def warm_up() -> None:
    """Imports torch, Ultralytics and what they load only when a training is set up: seconds in all."""
    import matplotlib.font_manager  # Ultralytics asks it where the font is
    import torchvision  # Ultralytics' validators; it loads torch's compiler, too
    import ultralytics.models.yolo.detect

    from . import callbacks, fast, supervised

    del matplotlib, torchvision, ultralytics, callbacks, fast, supervised
