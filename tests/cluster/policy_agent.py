"""Keeps a node's nftables rules as the NetworkPolicies say: runs beside the kubelet, in the node's namespace.

`python -m cluster.policy_agent NODE NETNS PODS-OF-NODE API-URL PKI-FOLDER`
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from threading import Thread
from typing import Any

from .api import Api
from .paths import ClusterError
from .pki import Pki
from .policies import View, render, to_pod
from .progress import say

USER = "policy-agent"
CNI_RESULTS = Path("/var/lib/cni/results")
LOOK_EVERY = 0.1  # seconds; between its address and its first process a pod takes longer
WATCH_SECONDS = 60  # then all is listed again

POLICIES = "/apis/networking.k8s.io/v1/networkpolicies"
PODS = "/api/v1/pods"
NAMESPACES = "/api/v1/namespaces"


class Watched:
    """All objects of one kind, kept current by a thread. `version` is 0 until the first list has come."""

    def __init__(self, api: Api, path: str) -> None:
        self.api = api
        self.path = path
        self.objects: dict[str, dict[str, Any]] = {}
        self.version = 0
        Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        said = ""
        while True:
            try:
                self._list_and_watch()
                said = ""
            except (ClusterError, OSError, http.client.HTTPException, ValueError) as error:
                if str(error) != said:
                    said = str(error)
                    say(f"{self.path}: {error}")
                time.sleep(0.5)

    def _list_and_watch(self) -> None:
        status, body = self.api.get(self.path)
        if status != 200:
            raise ClusterError(f"list: status {status}")
        listed = json.loads(body)
        self._set({item["metadata"]["uid"]: item for item in listed["items"]})
        since = listed["metadata"]["resourceVersion"]
        query = f"?watch=1&resourceVersion={since}&timeoutSeconds={WATCH_SECONDS}"
        for line in self.api.lines(self.path + query, timeout=WATCH_SECONDS + 10):
            event = json.loads(line)
            if event["type"] == "ERROR":
                raise ClusterError(f"watch: {event['object'].get('message')}")
            changed = event["object"]
            rest = {uid: item for uid, item in self.objects.items() if uid != changed["metadata"]["uid"]}
            gone = event["type"] == "DELETED"
            self._set(rest if gone else {**rest, changed["metadata"]["uid"]: changed})

    def _set(self, objects: dict[str, dict[str, Any]]) -> None:
        self.objects = objects  # never changed in place: the other thread reads it
        self.version += 1


class Agent:
    """Looks at all that rules depend on, and applies them when they have changed."""

    def __init__(self, api: Api, node: str, netns: str, node_pods: str) -> None:
        self.node = node
        self.netns = netns
        self.node_pods = node_pods
        self.policies, self.pods, self.namespaces = (
            Watched(api, path) for path in (POLICIES, PODS, NAMESPACES)
        )
        self.applied = ""

    def run(self) -> None:
        seen: object = None
        while True:
            versions = tuple(each.version for each in (self.policies, self.pods, self.namespaces))
            results = cni_results(self.netns)
            if all(versions) and (versions, results) != seen:
                self._apply(render(self._view(results), self.node, self.node_pods))
                seen = versions, results
            time.sleep(LOOK_EVERY)

    def _view(self, results: Iterable[Path]) -> View:
        addresses = dict(pair for path in results if (pair := pod_address(path)))
        pods = (to_pod(found, addresses) for found in self.pods.objects.values())
        return View(
            list(self.policies.objects.values()),
            [pod for pod in pods if pod],
            {
                each["metadata"]["name"]: each["metadata"].get("labels", {})
                for each in self.namespaces.objects.values()
            },
        )

    def _apply(self, rules: str) -> None:
        if rules == self.applied:
            return
        done = subprocess.run(["nft", "-f", "-"], input=rules, capture_output=True, text=True)
        if done.returncode:  # the rules before stay, and a pod that they do not know has no network
            say(f"nft: {done.stderr.strip()}")
            return
        self.applied = rules


def cni_results(netns: str) -> dict[Path, tuple[int, int]]:
    """What the CNI plugin noted for each pod of this node, with the time of the note and its size."""
    found = {}
    for path in CNI_RESULTS.glob(f"{netns}-*"):
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue
        found[path] = stat.st_mtime_ns, stat.st_size
    return found


def pod_address(result: Path) -> tuple[str, str] | None:
    """A pod's uid and address from the CNI plugin's note; None while that is half written."""
    try:
        noted = json.loads(result.read_text())
        return dict(noted["cniArgs"])["K8S_POD_UID"], noted["result"]["ips"][0]["address"].partition("/")[0]
    except (OSError, ValueError, KeyError, IndexError):
        return None


if __name__ == "__main__":
    node, netns, node_pods, url, pki = sys.argv[1:]
    Agent(Api(url, Pki(Path(pki)), USER), node, netns, node_pods).run()
