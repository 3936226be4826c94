"""A watch over the end of its API server: whoever resumes as clients do sees every object."""

import json
import threading
from collections.abc import Iterator
from typing import Any, Self

import pytest
import urllib3
from kubernetes import client, config, watch

from cluster import Cluster
from cluster.api import wait_for

NAME = "watches"
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


class Follower:
    """Lists, watches, resumes from the last version, and lists again where that is too old."""

    def __init__(self, cluster: Cluster) -> None:
        self.seen: set[str] = set()
        self.ended = 0  # watches that ended though they had a minute yet
        self._client: Any = config.new_client_from_config(str(cluster.kubeconfig))  # type: ignore[no-untyped-call]
        self._core: Any = client.CoreV1Api(self._client)
        self._watch: Any = watch.Watch()  # type: ignore[no-untyped-call]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._watch.stop()
        self._thread.join(10)
        self._client.close()
        assert not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            try:
                if not self._watch.resource_version:
                    self._list()
                self._follow(self._watch.resource_version)
            except client.ApiException as error:
                if error.status == 410:
                    self._watch.resource_version = None
            except (urllib3.exceptions.HTTPError, OSError):
                continue

    def _list(self) -> None:
        found = self._core.list_namespaced_config_map("default", _request_timeout=5)
        self.seen.update(item.metadata.name for item in found.items)
        self._watch.resource_version = found.metadata.resource_version

    def _follow(self, version: str) -> None:
        options = {"resource_version": version, "timeout_seconds": 60, "_request_timeout": 70}
        opened = False
        try:
            for event in self._watch.stream(self._core.list_namespaced_config_map, "default", **options):
                opened = True
                self.seen.add(event["object"].metadata.name)
        finally:
            self.ended += opened and not self._stop.is_set()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster(NAME)
    cluster.down()
    cluster.up(api_only=True)
    yield cluster
    cluster.down()


def _create(cluster: Cluster, prefix: str) -> set[str]:
    names = {f"{prefix}-{number}" for number in range(5)}
    items = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}} for name in sorted(names)]
    manifest = {"apiVersion": "v1", "kind": "List", "items": items}
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(manifest))
    return names


@pytest.mark.parametrize("verbs", [["kill", "resume"], ["restart"]], ids=" then ".join)
def test_watch_resumes_over_the_end_of_its_api_server(cluster: Cluster, verbs: list[str]) -> None:
    prefix = verbs[0]
    present = _create(cluster, f"{prefix}-present")
    with Follower(cluster) as follower:
        wait_for("what was there", lambda: present <= follower.seen, 10)
        before = _create(cluster, f"{prefix}-before")
        wait_for("what an open watch tells", lambda: before <= follower.seen, 10)
        assert follower.ended == 0
        for verb in verbs:
            getattr(cluster.faults, verb)("apiserver")
        wait_for("the API server", lambda: cluster.status()["api"] == "ready", 30)
        after = _create(cluster, f"{prefix}-after")
        wait_for("what came after it was back", lambda: after <= follower.seen, 30)
        assert follower.ended == 1, "the watch was open all the time until its server ended"
        later = _create(cluster, f"{prefix}-later")
        wait_for("what the new watch tells", lambda: later <= follower.seen, 10)
