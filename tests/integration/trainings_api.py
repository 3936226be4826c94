"""YoloTrainings over one open connection: milliseconds a call where a kubectl takes a tenth of a second."""

import json
import ssl
from typing import Any

import httpx2

from cluster import Cluster
from cluster.pki import Pki
from yolo_crds.meta import GROUP, PLURAL, VERSION

Body = dict[str, Any]


class TrainingsApi:
    """The YoloTrainings of the namespace `default`, as the administrator; unknown fields are refused."""

    def __init__(self, cluster: Cluster) -> None:
        plan = cluster.plan
        pki = Pki(plan.pki)
        context = ssl.create_default_context(cafile=pki.certificate("ca"))
        context.load_cert_chain(pki.certificate("admin"), pki.key("admin"))
        url = f"{plan.addresses.api}/apis/{GROUP}/{VERSION}/namespaces/default/{PLURAL}"
        self._http = httpx2.Client(base_url=url, verify=context, params={"fieldValidation": "Strict"})

    def create(self, training: Body, *, dry_run: bool = False) -> httpx2.Response:
        return self._http.post("", json=training, params=_params(dry_run))

    def get(self, name: str) -> Body:
        """The stored object. Raises HTTPStatusError if there is none."""
        return _body(self._http.get(name))

    def replace(self, training: Body, *, dry_run: bool = False) -> httpx2.Response:
        """Replace all but the status; without a resourceVersion whatever is stored."""
        return self._http.put(training["metadata"]["name"], json=training, params=_params(dry_run))

    def apply(self, training: Body, manager: str) -> httpx2.Response:
        """Server-side apply, as `manager`."""
        return self._http.patch(
            training["metadata"]["name"],
            content=json.dumps(training),
            headers={"Content-Type": "application/apply-patch+yaml"},
            params={"fieldManager": manager},
        )

    def replace_status(self, name: str, status: Body, *, dry_run: bool = False) -> httpx2.Response:
        """Replace the status alone."""
        body = self.get(name) | {"status": status}
        return self._http.put(f"{name}/status", json=body, params=_params(dry_run))

    def delete(self, name: str) -> None:
        self._http.delete(name).raise_for_status()

    def close(self) -> None:
        self._http.close()


def refusals(answer: httpx2.Response) -> dict[str, str]:
    """Field → why it was refused; empty if all is well."""
    if answer.is_success:
        return {}
    told = answer.json()
    found: dict[str, str] = {}
    for cause in told.get("details", {}).get("causes") or [{"field": "", "message": told["message"]}]:
        before = found.get(cause["field"], "")
        found[cause["field"]] = f"{before}; {cause['message']}" if before else cause["message"]
    return found


def _params(dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}


def _body(answer: httpx2.Response) -> Body:
    body: Body = answer.raise_for_status().json()
    return body
