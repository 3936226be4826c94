"""Bodies of `POST /start` that train, for its description: each one a case of its own."""

from typing import Any

_DATA = {"model_name": "helmet", "train_ucd": "helmet_demo", "val_ucd": "None", "labels": "helmet,person"}

START: dict[str, Any] = {
    "old client": {
        "summary": "As clients of the old server send it",
        "description": "Numbers may be texts. `val_ucd` None: a fifth of the training set validates.",
        "value": {
            "model_type": "yolov5s",
            "batch_size": "16",
            "device": "0",
            "epochs": "100",
            "imgsz": "640",
            "workers": "8",
            **_DATA,
            "continue_train": False,
            "hyp_dict": {"lr0": 0.01, "mosaic": 1.0},
        },
    },
    "arguments": {
        "summary": "With arguments of Ultralytics",
        "description": "`hyp_dict` takes every argument; what has a key of its own may stand beside it.",
        "value": {
            **_DATA,
            "model_type": "yolo11s",
            "epochs": 100,
            "patience": 20,
            "optimizer": "AdamW",
            "hyp_dict": {"lr0": 0.001, "close_mosaic": 5, "dropout": 0.1, "cos_lr": True},
        },
    },
    "resources": {
        "summary": "With GPUs, memory and a queue",
        "description": "Keys that are left out are as the installation has them; `/help` lists all.",
        "value": {
            **_DATA,
            "model_type": "yolo11l",
            "gpus": 2,
            "batch_size": 32,
            "cpu": 8,
            "memory": "64Gi",
            "shared_memory": "16Gi",
            "queue_name": "trainings",
            "node_selector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
            "max_restarts": 5,
        },
    },
    "segmentation": {
        "summary": "Another task, class names as a list",
        "value": {**_DATA, "model_type": "yolo11n-seg", "task": "segment", "labels": ["helmet", "person"]},
    },
    "continue": {
        "summary": "Go on from the last checkpoint",
        "description": "What is left out stays as it was; `epochs` counts those that are done too.",
        "value": {**_DATA, "continue_train": True, "epochs": 200},
    },
    "without a GPU": {
        "summary": "Small, on the CPU",
        "value": {
            **_DATA,
            "model_type": "yolo11n",
            "device": "cpu",
            "epochs": 3,
            "imgsz": 320,
            "cpu": 2,
            "memory": "4Gi",
            "shared_memory": "1Gi",
        },
    },
}
"""By name, in OpenAPI's form."""
