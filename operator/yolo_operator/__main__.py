"""`python -m yolo_operator`, and `python -m yolo_operator farewell` for a release that goes."""

import sys

from pydantic import ValidationError
from pydantic_settings import SettingsError

from yolo_crds.base import describe_settings_errors
from yolo_crds.listening import ListenError
from yolo_crds.unknown_user import ensure_user

ensure_user()  # the Kubernetes client asks for a home when it is imported, and kopf for a name

from .farewell import run_farewell  # noqa: E402
from .main import run  # noqa: E402

if __name__ == "__main__":
    farewell = sys.argv[1:] == ["farewell"]
    try:
        if farewell:
            sys.exit(run_farewell())
        run()
    except SettingsError as error:  # no JSON where a list or map is wanted
        sys.stderr.write(f"{error}; lists and maps are given as JSON\n")
        sys.exit(2)
    except ValidationError as error:
        sys.stderr.writelines(
            f"{line}\n"
            for line in describe_settings_errors(error, "YOLO_FAREWELL_" if farewell else "YOLO_OPERATOR_")
        )
        sys.exit(2)
    except ListenError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
