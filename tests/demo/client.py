"""An old client: it knows host and port, and the calls of the older server."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

_TERMINAL = ("Succeeded", "Failed", "Terminated")


class CallFailedError(Exception):
    """An answer that is not 200: the code, and the text that the façade gave."""

    def __init__(self, call: str, code: int, text: str) -> None:
        super().__init__(f"{call}: {code} {text}")
        self.code = code
        self.text = text


class OldClient:
    """Calls the façade as a labelling platform does."""

    def __init__(self, url: str, *, timeout: float = 30) -> None:
        self._http = httpx2.Client(base_url=url, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str) -> Any:
        """The JSON answer of a GET. Raises CallFailedError."""
        return self._checked(f"GET {path}", self._http.get(path))

    def start(self, **body: object) -> Any:
        """`POST /start`. Raises CallFailedError."""
        return self._checked("POST /start", self._http.post("/start", json=body))

    def model(self, name: str) -> dict[str, Any] | None:
        """What `/status` says of a model, or None."""
        found: dict[str, Any] | None = self.get("/status")["models"].get(name)
        return found

    def watch(self, name: str, *, deadline: float, pause: float = 0.5) -> Iterator[dict[str, Any]]:
        """Each new state of a model, the last one terminal. Raises TimeoutError after `deadline` seconds."""
        end = time.monotonic() + deadline
        seen: dict[str, Any] | None = None
        while True:
            state = self.model(name)
            if state is not None and state != seen:
                seen = state
                yield state
            if state is not None and state["phase"] in _TERMINAL:
                return
            if time.monotonic() > end:
                raise TimeoutError(
                    f"{name} is still {state and state['phase']} after {deadline:.0f} s: {state}"
                )
            time.sleep(pause)

    def download(self, name: str, file: str, target: Path) -> str:
        """Stream a checkpoint into `target`; the sha256 of what came. Raises CallFailedError."""
        digest = hashlib.sha256()
        path = f"/download_model/{name}/weights/{file}"
        with self._http.stream("GET", path) as response, target.open("wb") as out:
            if response.status_code != httpx2.codes.OK:
                response.read()
                self._checked(f"GET {path}", response)
            for chunk in response.iter_bytes():
                digest.update(chunk)
                out.write(chunk)
        return digest.hexdigest()

    @staticmethod
    def _checked(call: str, response: httpx2.Response) -> Any:
        if response.status_code != httpx2.codes.OK:
            try:
                text = str(response.json().get("detail", response.text))
            except ValueError:
                text = response.text
            raise CallFailedError(call, response.status_code, text)
        return response.json()
