"""What the process has imported that others are forked from."""

import ultralytics.models.yolo.detect.train
import ultralytics.models.yolo.segment.train  # noqa: F401
from ultralytics import YOLO  # noqa: F401

import yolo_trainer.prepare.stage
import yolo_trainer.training.callbacks
import yolo_trainer.training.stage
import yolo_trainer.training.supervised
import yolo_trainer.worker  # noqa: F401
