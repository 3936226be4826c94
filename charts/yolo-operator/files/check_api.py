"""What `helm test` runs in the façade's image: asks each URL until it answers 200, for a minute at most."""

import sys
import time
import urllib.request


def check(url: str, deadline: float) -> None:
    """Waits until `url` answers 200; exits with the last error after `deadline` (monotonic seconds)."""
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 (the chart gives http://)
                sys.stdout.write(f"{url}: {answer.status} {answer.read(200).decode()}\n")
                return
        except OSError as error:
            if time.monotonic() > deadline:
                sys.exit(f"{url}: {error}")
        time.sleep(1)


for url in sys.argv[1:]:
    check(url, time.monotonic() + 60)
