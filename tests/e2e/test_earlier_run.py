"""What an earlier run left: a model to start from, and a resume that has nothing to train."""

import json

import pytest

from cluster import Cluster
from demo.client import OldClient
from demo.install import System
from e2e.audited import Audit
from e2e.trainings import SMALL, end_training, finish_training, start_training, volume_folder

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

DATA = {"train": "digits-small", "val": "digits-small-val", "labels": [str(digit) for digit in range(10)]}


def patch(system: System, name: str, **spec: object) -> str:
    """What kubectl says besides of a patch of the spec."""
    done = system.run_kubectl("patch", "yt", name, "--type=merge", "-p", json.dumps({"spec": spec}))
    return done.stderr


def test_training_starts_from_an_earlier_run_and_needs_it_no_more(
    system: System, client: OldClient, cluster: Cluster
) -> None:
    first, second = "e2e 早 one", "e2e-from-run"
    client.start(**SMALL, model_name=first, epochs=1)
    *_, last = client.watch(first, deadline=240)
    assert last["phase"] == "Succeeded", last
    client.start(**SMALL | {"model_type": f"run:{first}/best", "imgsz": 96}, model_name=second, epochs=1)
    status = finish_training(system, second)
    assert f"run:{first}/best was trained with imgsz 64, this training has 96" in status["warnings"]
    runs = volume_folder(system, cluster, "yolo-runs") / "train"
    (copy,) = (runs / second / ".attempts").glob("*/initial.pt")
    best = runs / first / "weights" / "best.pt"
    assert copy.read_bytes() == best.read_bytes()
    log = (runs.parent / "train_info" / second / "logs" / "train_std.log").read_text()
    done, _, all_ = log.partition("Transferred ")[2].split()[0].partition("/")
    assert done == all_

    client.get(f"/clear_train_cache/{first}")
    patch(system, second, run=2, resume=True, template={"epochs": 2})
    assert finish_training(system, second, run=2)["progress"]["epoch"] == 2


def test_run_that_is_not_there_is_told_before_a_gpu(system: System, audit: Audit) -> None:
    start_training(system, "e2e-from-nobody", model="run:e2e-nobody/best", data=DATA)
    status = end_training(system, "e2e-from-nobody")
    assert (status["phase"], status["failure"]["reason"]) == ("Failed", "WeightsMissing"), status
    assert audit.stages("e2e-from-nobody") == {"prepare"}


def test_resume_with_nothing_to_train_keeps_everything(system: System, cluster: Cluster) -> None:
    name = "e2e-nothing-left"
    start_training(system, name, data=DATA, epochs=2)
    first = finish_training(system, name)
    folder = volume_folder(system, cluster, "yolo-runs") / "train" / name
    shown = [path for path in folder.rglob("*") if path.is_file() and ".attempts" not in path.parts]
    shown = [path for path in shown if not {".claims", ".publish"} & set(path.parts)]
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in shown}

    assert "spec.resume starts nothing by itself: run 1 has ended" in patch(system, name, resume=True)
    told = "nothing was started by this change: run 1 has ended; raise spec.run to 2 to train again"
    system.kubectl("wait", f"--for=jsonpath={{.status.warnings[-1:]}}={told}", f"yt/{name}", "--timeout=60s")
    assert patch(system, name, run=2) == ""
    status = finish_training(system, name, run=2)

    want = "nothing to train: 2 epochs are done, 2 were asked for; raise template.epochs"
    assert want in status["warnings"]
    for field in ("metrics", "epoch", "epochs"):
        assert status["progress"][field] == first["progress"][field]
    assert (status["best"], status["weights"]) == (first["best"], first["weights"])
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in shown} == before
    jobs = json.loads(system.kubectl("get", "jobs", "-o", "json"))["items"]
    assert f"{name}-r2a1-train" not in [job["metadata"]["name"] for job in jobs]
