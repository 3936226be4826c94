"""`python -m yolo_operator`."""

import sys

from pydantic import ValidationError

from .main import run

if __name__ == "__main__":
    try:
        run()
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"]).upper()
            sys.stderr.write(f"YOLO_OPERATOR_{name}: {problem['msg']}\n")
        sys.exit(2)
