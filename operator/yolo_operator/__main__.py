"""`python -m yolo_operator`."""

import sys

from pydantic import ValidationError
from pydantic_settings import SettingsError

from .main import run

if __name__ == "__main__":
    try:
        run()
    except SettingsError as error:  # no JSON where a list or map is wanted
        sys.stderr.write(f"{error}; lists and maps are given as JSON\n")
        sys.exit(2)
    except ValidationError as error:
        for problem in error.errors():
            setting, *inside = (str(part) for part in problem["loc"])
            name = ".".join([setting.upper(), *inside])
            sys.stderr.write(f"YOLO_OPERATOR_{name}: {problem['msg']}\n")
        sys.exit(2)
