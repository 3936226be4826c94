"""The few questions that start-up asks the API server itself, without the cost of a kubectl each."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from calendar import timegm
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from .paths import ClusterError
from .pki import Pki


class Api:
    """GET requests, as the administrator unless another certificate is named, to who proves to be of `ca`."""

    def __init__(self, url: str, pki: Pki, user: str = "admin", *, ca: str = "ca") -> None:
        self.url = urlsplit(url)
        self.pki = pki
        self.user = user
        self.ca = ca

    def get(self, path: str) -> tuple[int, str]:
        """Status and body; status 0 if nobody answers."""
        try:
            connection = self._connection(timeout=5)
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
            finally:
                connection.close()
        except (OSError, http.client.HTTPException):
            return 0, ""

    def lines(self, path: str, *, timeout: float) -> Iterator[bytes]:
        """The lines of an answer that takes its time (a watch).

        Raises OSError or HTTPException if it does not come, ClusterError if it is an error.
        """
        connection = self._connection(timeout=timeout)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            if answer.status != 200:
                raise ClusterError(f"{path}: status {answer.status}")
            yield from answer
        finally:
            connection.close()

    def _connection(self, *, timeout: float) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=self.pki.certificate(self.ca))
        context.load_cert_chain(self.pki.certificate(self.user), self.pki.key(self.user))
        host, port = self.url.hostname or "", self.url.port or 443
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)

    def ready(self) -> bool:
        return self.get("/readyz")[0] == 200

    def object(self, path: str) -> dict[str, Any]:
        """A JSON object; empty if it is not there."""
        status, body = self.get(path)
        found: dict[str, Any] = json.loads(body) if status == 200 else {}
        return found

    def node_ready(self, name: str, *, since: float = 0.0) -> bool:
        """Whether the node says so itself, by a heartbeat not older than `since` (seconds of the epoch)."""
        for condition in self.object(f"/api/v1/nodes/{name}").get("status", {}).get("conditions", []):
            if condition["type"] == "Ready" and condition["status"] == "True":
                beat = time.strptime(condition["lastHeartbeatTime"], "%Y-%m-%dT%H:%M:%SZ")
                return timegm(beat) >= int(since)
        return False

    def deployment_ready(self, namespace: str, name: str) -> bool:
        found = self.object(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
        status = found.get("status", {})
        observed = status.get("observedGeneration", 0) >= found.get("metadata", {}).get("generation", 1)
        return bool(found) and observed and status.get("readyReplicas", 0) >= found["spec"]["replicas"]


def wait_for(what: str, done: Callable[[], bool], seconds: float, *, hint: str = "") -> None:
    """Polls until `done`; raises ClusterError that says what did not come, and where to look.

    The longer it has waited the less often it looks, since most questions cost a process: what comes is seen
    late by at most a twentieth of the time that it took.
    """
    started = time.monotonic()
    while not done():
        waited = time.monotonic() - started
        if waited > seconds:
            raise ClusterError(f"{what}: not within {seconds:.0f} s. {hint}".strip())
        time.sleep(max(0.1, waited / 20))
