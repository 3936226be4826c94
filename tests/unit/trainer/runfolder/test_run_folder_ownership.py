"""A run volume whose folders are another user's, as an older server's or an earlier installation's."""

from typing import Any

import pytest

from other_users import open_folder, without_rights
from yolo_trainer.errors import VolumeFailedError
from yolo_trainer.runfolder.attempt import claim


@pytest.mark.parametrize("closed", ["train", "train_info", "train/demo/.claims"])
def test_run_folder_of_another_user_is_told_with_owner_and_cure(world: Any, closed: str) -> None:
    claim(world.config())  # what Python loads late, another user may not read
    with open_folder() as folder:
        shared = type(world)(folder)
        for name in ("train/demo/.attempts", "train/demo/.claims", "train_info/demo"):
            (shared.runs / name).mkdir(parents=True)
        for one in (shared.runs, *shared.runs.rglob("*")):
            one.chmod(0o777)
        (shared.runs / closed).chmod(0o555)
        model = "demo" if closed.endswith(".claims") else "new"
        config = shared.config().model_copy(update={"model_name": model})
        if closed == "train_info":
            (shared.runs / "train" / model).mkdir()
            (shared.runs / "train" / model).chmod(0o777)
        with without_rights(), pytest.raises(VolumeFailedError) as found:
            claim(config)
    assert f"{shared.runs / closed} belongs to " in found.value.message
    assert "(uid:gid, mode 0555), and this pod runs as " in found.value.message
    assert "given to" in str(found.value.hint) or "chmod" in str(found.value.hint)
