"""Fetch the images of UCD data sets into `img_cache`, several at a time."""

from __future__ import annotations

import errno
import json
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..data.images import FORMATS
from ..data.parallel import REPORT_SECONDS, Report
from ..errors import FetchFailedError, volume_errors
from .client import Client, Download, NoAnswerError, NotServedError, TooLargeError
from .part import Part
from .ucd_server import UcdServer, beginning

STAGE = "fetch"
_GONE = frozenset({404, 410})
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS})
"""What file systems without hard links answer."""
_ERROR_BYTES = 1 << 16
"""Of a JSON error that came in place of an image, at most."""
_AHEAD = 4
"""Downloads that wait for each one under way."""


@dataclass(frozen=True)
class Unfetched:
    """Why there is no image: a kind of `Skipped`, and a detail for people."""

    kind: str
    detail: str = ""


class ImageFetch:
    """Fetches single images into a folder; used by several threads at once.

    `aside` is where downloads grow, on the same volume.
    """

    def __init__(self, server: UcdServer, client: Client, folder: Path, aside: Path, limit: int) -> None:
        self.client = client
        self._server = server
        self._folder = folder
        self._aside = aside
        self._limit = limit

    def __call__(self, code: str) -> Unfetched | None:
        """Fetches the image of a code unless it is there by now; why not, when the server has none to take.

        Raises FetchFailedError when the server does not answer, and what `errors.volume_errors` raises.
        """
        target = self._folder / f"{code}.jpg"
        if target.exists():  # another prepare was faster
            return None
        resource = self._server.image(code)
        with Part(self._aside / f"{code}.part") as part:
            try:
                found = self.client.download(resource, part, self._limit)
            except TooLargeError as error:
                return Unfetched("oversizedImage", str(error))
            except (NoAnswerError, NotServedError) as error:
                if error.status in _GONE:
                    return Unfetched("missingImage")
                raise FetchFailedError(f"{resource.shown}: {error}") from error
            if wrong := _not_an_image(part.read(), found):
                return wrong
            _place(part.finish(), target)
        return None


def fetch_images(
    fetch: ImageFetch, codes: Sequence[str], parallel: int, report: Report
) -> dict[str, Unfetched]:
    """Fetches the images of many codes, `parallel` at a time; those that were not, with the reason.

    Raises what the first failing download raises; what came until then stays for the next attempt.
    """
    pool = ThreadPoolExecutor(parallel, thread_name_prefix=STAGE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            outcomes = _run(pool, fetch, codes, parallel * _AHEAD, report)
            unfetched = {code: why for code, why in outcomes if why is not None}
    except BaseException as error:
        fetch.client.stop()
        # Whoever asks the pod to end waits for seconds only, not for a server that does not answer.
        pool.shutdown(wait=isinstance(error, Exception), cancel_futures=True)
        raise
    pool.shutdown()
    return unfetched


def _run(
    pool: ThreadPoolExecutor, fetch: ImageFetch, codes: Sequence[str], ahead: int, report: Report
) -> Iterator[tuple[str, Unfetched | None]]:
    """Outcomes as they come, a bounded number under way; reports every two seconds and at the end."""
    started = last = time.monotonic()
    todo = iter(codes)
    pending: dict[Future[Unfetched | None], str] = {}
    done = 0
    while done < len(codes):
        for code in todo:
            pending[pool.submit(fetch, code)] = code
            if len(pending) >= ahead:
                break
        finished, _ = wait(pending, timeout=REPORT_SECONDS, return_when=FIRST_COMPLETED)
        for future in finished:
            yield pending.pop(future), future.result()
        done += len(finished)
        now = time.monotonic()
        if now - last >= REPORT_SECONDS or done == len(codes):
            last = now
            _tell(report, done, len(codes), now - started)


def _tell(report: Report, done: int, total: int, seconds: float) -> None:
    rate = done / max(seconds, 1e-6)
    report(
        stage=STAGE,
        batch=done,
        batches=total,
        percent=round(100 * done / total, 1),
        images_per_second=round(rate, 1),
        eta_seconds=round((total - done) / rate) if done else None,
    )


def _not_an_image(path: Path, found: Download) -> Unfetched | None:
    """What came in place of an image that can be trained on; None for one.

    The header tells; content is verified with all other images later. A file of unknown length is decoded
    here: what a broken connection left must not be kept.
    """
    try:
        with Image.open(path) as image:
            if (image.format or "").lower() not in FORMATS | {"jpeg2000"}:
                return Unfetched("notAnImage", f"{image.format} images are not taken by Ultralytics")
            if not found.delimited:
                image.load()
    except Exception:  # Pillow's plugins raise nearly anything on bad bytes
        if _is_json(path):
            return Unfetched("missingImage")
        return Unfetched("notAnImage", beginning(path))
    return None


def _is_json(path: Path) -> bool:
    """The newer server says so that it does not have a file."""
    if path.stat().st_size > _ERROR_BYTES:
        return False
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


def _place(part: Path, target: Path) -> None:
    """Gives a whole image its name, unless somebody else's has it by now."""
    with volume_errors(target, f"keep images in {target.parent}, as"):
        try:
            os.link(part, target)
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno not in _NO_LINKS or target.exists():
                raise OSError(error.errno, os.strerror(error.errno or 0), str(target)) from error
            part.replace(target)
            return
        part.unlink()
