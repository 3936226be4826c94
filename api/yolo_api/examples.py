"""Bodies of `POST /start` that train, each one a case of its own, and answers: for the calls' description."""

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

_MODEL: dict[str, Any] = {
    "phase": "Running",
    "reason": "Training",
    "message": "epoch 45 of 100",
    "waiting": None,
    "epoch": 45,
    "epochs": 100,
    "percent": 45.0,
    "eta_seconds": 720,
    "metrics": {"metrics/mAP50(B)": 0.83, "metrics/mAP50-95(B)": 0.61},
    "restarts": 0,
    "started_at": "2026-11-28T10:00:00Z",
    "finished_at": None,
    "warnings": ["optimizer: took SGD, since auto ignores lr0"],
}
STARTED: dict[str, Any] = {
    "message": "Training started",
    "safe_code": {"helmet": "83562ef0-49bf-43b2-8004-78678ea69d9c"},
    "model_name": "helmet",
    "warnings": ["ignored the unknown field 'epoch'; did you mean 'epochs'?"],
}
STATUS: dict[str, Any] = {
    "Running": ["helmet"],
    "Pending": [],
    "Succeeded": [],
    "Failed": [],
    "Terminated": [],
    "models": {"helmet": _MODEL},
}
STATUS_OF_ONE = _MODEL
ERROR: dict[str, Any] = {
    "detail": "train_ucd: 'digits-trian' was not found on the data volume; did you mean 'digits-train'?",
    "error": "train_ucd: 'digits-trian' was not found on the data volume; did you mean 'digits-train'?",
    "errors": [
        {
            "field": "train_ucd",
            "message": "'digits-trian' was not found on the data volume; did you mean 'digits-train'?",
        }
    ],
}


def answer(example: Any) -> dict[int | str, dict[str, Any]]:
    """The good answer of a call, as FastAPI's `responses` take it."""
    return {200: {"content": {"application/json": {"example": example}}}}
