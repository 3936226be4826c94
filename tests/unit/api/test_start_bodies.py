"""No body of `POST /start` is an unexpected error, whatever is in it."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from start_bodies import bodies
from yolo_crds.meta import ANNOTATION_WARNINGS
from yolo_crds.training import YoloTraining

KINDS = [
    "application/json",
    None,
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain",
]


@pytest.mark.parametrize("seed", range(6))
def test_no_body_is_an_unexpected_error(
    client: TestClient, kube: Any, body: dict[str, Any], seed: int
) -> None:
    for number, text in enumerate(bodies(body, 400, seed)):
        kind = KINDS[number % 9] if number % 9 < len(KINDS) else KINDS[0]
        answer = client.post("/start", content=text, headers={"Content-Type": kind} if kind else {})
        assert answer.status_code in (200, 400, 422), (text[:2000], answer.text)
        if answer.status_code == 200:
            for manifest in kube.objects.values():
                YoloTraining.model_validate(manifest)
                json.dumps(manifest).encode()
            for name in list(kube.objects):
                kube.remove(name)
            client.app.state.services.trainings.cache._entries.clear()  # type: ignore[attr-defined]
        else:
            assert answer.json()["detail"] == answer.json()["error"]


@pytest.mark.parametrize(
    ("hyp_dict", "want"),
    [
        ('{"lr0": 1%s}' % ("0" * 400), "hyp_dict.lr0: must be a number, got 1000"),
        (r'{"\ud800": 1}', "body: 'hyp_dict' holds half of a character (a lone surrogate)"),
        (r'{"copy_paste_mode": "\udcff"}', "body: 'hyp_dict' holds half of a character (a lone surrogate)"),
    ],
)  # fmt: skip
def test_forms_of_hyp_dict_that_were_unexpected_errors(
    client: TestClient, body: dict[str, Any], hyp_dict: str, want: str
) -> None:
    text = json.dumps(body)[:-1] + f', "hyp_dict": {hyp_dict}}}'
    answer = client.post("/start", content=text)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(want)


def test_a_misspelt_annotation_costs_no_other_model_its_answer(
    client: TestClient, kube: Any, body: dict[str, Any], wait_until: Any
) -> None:
    client.post("/start", json=body | {"model_name": "sound"})
    odd = kube.objects["sound"] | {
        "metadata": {"name": "odd", "annotations": {ANNOTATION_WARNINGS: "[" * 9000}}
    }
    kube.store(odd | {"spec": odd["spec"] | {"modelName": "odd"}})
    wait_until(lambda: "odd" in client.get("/status").json().get("models", {}))
    assert client.get("/status").json()["models"].keys() == {"sound", "odd"}
