import getpass
import os
import pwd
import tempfile
from pathlib import Path
from typing import Any

import pytest

from yolo_crds.unknown_user import ensure_user

NAMES = ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME")


def test_user_that_no_passwd_knows_gets_home_and_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> Any:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in NAMES:
        monkeypatch.setenv(name, "")  # so that what is set below goes again
        monkeypatch.delenv(name)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(RuntimeError):
        Path.home()
    ensure_user()
    assert Path.home() == Path(tempfile.gettempdir())
    assert getpass.getuser() == "yolo"


def test_what_is_known_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.setenv("LOGNAME", "somebody")
    ensure_user()
    assert (os.environ["HOME"], getpass.getuser()) == ("/somewhere", "somebody")
