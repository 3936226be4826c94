"""Whatever uid a cluster gives: libraries ask for its home and name, and no passwd of an image has them."""

import getpass
import os
import tempfile


def ensure_user() -> None:
    """Gives a process whose uid nobody knows a home and a name; the images' environment has both already.

    To be called before the libraries are imported: the Kubernetes client asks for the home then, and kopf for
    the name when it starts.
    """
    if os.path.expanduser("~") == "~":  # noqa: PTH111 - Path.expanduser raises instead
        os.environ["HOME"] = tempfile.gettempdir()
    try:
        getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        os.environ["USER"] = "yolo"
