"""One run folder under objects that come and go, on a real node."""

import subprocess
from pathlib import Path

import pytest

from cluster import Cluster
from demo.client import OldClient
from demo.install import System
from e2e.trainings import finish_training, start_training, until_training, volume_folder

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


DATA = {"train": "datasets/digits"}


def test_deleted_and_applied_again_it_trains(system: System, cluster: Cluster, client: OldClient) -> None:
    name = "e2e-again"
    start_training(system, name, data=DATA, epochs=2)
    finish_training(system, name)
    first = system.training(name)["metadata"]["uid"]
    system.kubectl("delete", "yt", name)

    start_training(system, name, data=DATA, epochs=1)
    status = finish_training(system, name)

    assert system.training(name)["metadata"]["uid"] != first
    assert (status["progress"]["epoch"], status["attempt"]) == (1, 1)
    log = client.get(f"/train_info/{name}")["train_log_std"]
    assert [line.split(" , ")[0] for line in log if line.startswith("* start train")] == ["* start train 1/1"]

    system.kubectl("delete", "yt", name)
    start_training(system, name, spec={"resume": True}, data=DATA, epochs=3)
    assert finish_training(system, name)["progress"]["epoch"] == 3
    _copy_out(volume_folder(system, cluster, "yolo-runs") / "train" / name)


def _copy_out(folder: Path) -> None:
    """What `kubectl cp` would bring: tar of the folder, without its links."""
    names = subprocess.run(
        ["tar", "tvf", "-"],
        input=subprocess.run(["tar", "cf", "-", "-C", folder, "."], capture_output=True, check=True).stdout,
        capture_output=True,
        check=True,
    ).stdout.decode()
    published = [line for line in names.splitlines() if "/." not in line.replace(" ./", " ")]
    assert any(line.endswith("weights/best.pt") for line in published)
    assert not [line for line in published if line.startswith("l")]


def test_deleted_while_it_trains_and_applied_again_it_trains(system: System, client: OldClient) -> None:
    name = "e2e-again-soon"
    start_training(system, name, data=DATA, epochs=300)
    until_training(client, name, epoch=2)
    system.kubectl("delete", "yt", name, "--wait=false")

    start_training(system, name, spec={"resume": True}, data=DATA, epochs=299)

    until_training(client, name, epoch=3)
    log = client.get(f"/train_info/{name}")["train_log_std"]
    epochs = [line.split(" , ")[0].split()[-1] for line in log if line.startswith("* start train")]
    assert [epoch for epoch in epochs if epoch.endswith("/299")]
    assert "1/299" not in epochs, "the new object began anew"
    client.get(f"/terminate/{name}")
