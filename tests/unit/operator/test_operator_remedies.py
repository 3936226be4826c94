"""Which argument changes after which failure, and where that ends."""

from typing import Any

import pytest

from yolo_crds.arguments import parse_value
from yolo_crds.conditions import REMEDIABLE, RETRYABLE, Reason
from yolo_crds.status import Failure, Remedy
from yolo_crds.training import Template
from yolo_operator.remedies import REMEDIES_MOST, build_overrides, choose_remedy


def _choose(reason: str, earlier: list[Remedy] | None = None, **template: Any) -> Remedy | None:
    parsed = Template.model_validate({"model": "yolo11n.pt", "data": {"train": "a"}} | template)
    return choose_remedy(Failure(reason=reason, message=""), 1, parsed, earlier or [])


def _change(remedy: Remedy | None) -> tuple[str, str, str] | None:
    return (remedy.argument, remedy.before, remedy.after) if remedy else None


ON_CPU = {"resources": {"gpus": 0}}
ON_FOUR = {"resources": {"gpus": 4}}
EIGHT_CPUS = {"resources": {"cpu": "8"}}


@pytest.mark.parametrize(
    ("reason", "template", "want"),
    [
        (Reason.CUDA_OUT_OF_MEMORY, {}, ("batch", "16", "8")),
        (Reason.CUDA_OUT_OF_MEMORY, {"batch": 5}, ("batch", "5", "2")),
        (Reason.CUDA_OUT_OF_MEMORY, {"batch": 1}, None),
        (Reason.CUDA_OUT_OF_MEMORY, {"batch": 24} | ON_FOUR, ("batch", "24", "12")),
        (Reason.CUDA_OUT_OF_MEMORY, {"batch": 20} | ON_FOUR, ("batch", "20", "8")),
        (Reason.CUDA_OUT_OF_MEMORY, {"batch": 4} | ON_FOUR, None),
        (Reason.CUDA_OUT_OF_MEMORY, {"batch": 0.8}, ("batch", "0.8", "0.4")),
        (Reason.CUDA_OUT_OF_MEMORY, {"batch": -1}, ("batch", "-1", "0.3")),
        (Reason.SHARED_MEMORY_EXHAUSTED, EIGHT_CPUS, ("workers", "8", "4")),
        (Reason.SHARED_MEMORY_EXHAUSTED, {"workers": 1}, ("workers", "1", "0")),
        (Reason.SHARED_MEMORY_EXHAUSTED, {"workers": 0}, None),
        (Reason.SHARED_MEMORY_EXHAUSTED, {}, ("workers", "2", "1")),
        (Reason.SHARED_MEMORY_EXHAUSTED, {"resources": {"cpu": "1100m"}}, ("workers", "2", "1")),
        (Reason.SHARED_MEMORY_EXHAUSTED, {"resources": {"gpus": 4, "cpu": "8"}}, ("workers", "2", "1")),
        (Reason.SHARED_MEMORY_EXHAUSTED, {"resources": {"gpus": 4, "cpu": "2"}}, None),
        (Reason.OOM_KILLED, {"cache": "ram"}, ("cache", "ram", "none")),
        (Reason.OOM_KILLED, {"cache": "disk"} | EIGHT_CPUS, ("workers", "8", "4")),
        (Reason.OOM_KILLED, {"workers": 0}, None),
        (Reason.DIVERGED, {}, ("amp", "true", "false")),
        (Reason.DIVERGED, {"amp": False}, None),
        (Reason.DIVERGED, ON_CPU, None),
        (Reason.HUNG, {}, None),
        ("ReasonOfANewerVersion", {}, None),
    ],
)
def test_choose_remedy_changes_what_the_reason_blames(
    reason: str, template: dict[str, Any], want: tuple[str, str, str] | None
) -> None:
    assert _change(_choose(reason, **template)) == want


def test_choose_remedy_goes_on_from_the_earlier_ones() -> None:
    cache = Remedy(attempt=2, reason="OOMKilled", argument="cache", before="ram", after="none")
    workers = Remedy(attempt=3, reason="OOMKilled", argument="workers", before="8", after="4")
    assert _change(_choose("OOMKilled", [cache], cache="ram", **EIGHT_CPUS)) == ("workers", "8", "4")
    assert _change(_choose("OOMKilled", [cache, workers], cache="ram")) == ("workers", "4", "2")


def test_choose_remedy_ends_after_so_many() -> None:
    other = Remedy(attempt=2, reason="CudaOutOfMemory", argument="batch", before="64", after="32")
    assert _choose(Reason.DIVERGED, [other] * (REMEDIES_MOST - 1)) is not None
    assert _choose(Reason.DIVERGED, [other] * REMEDIES_MOST) is None


def test_choose_remedy_finds_one_for_every_reason_that_is_said_to_have_one() -> None:
    assert {reason for reason in Reason if reason not in RETRYABLE and _choose(reason)} == REMEDIABLE


def test_build_overrides_has_the_newest_values_as_the_trainer_reads_them() -> None:
    changes = [("batch", "16", "8"), ("amp", "true", "false"), ("cache", "ram", "none"), ("batch", "8", "4")]
    remedies = [
        Remedy(attempt=2, reason="Diverged", argument=argument, before=before, after=after)
        for argument, before, after in changes
    ]
    read = {name: parse_value(str(text)) for name, text in build_overrides(remedies).items()}
    assert read == {"batch": 4, "amp": False, "cache": None}
