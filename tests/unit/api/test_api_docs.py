"""The page to try the calls on: nothing of it comes from elsewhere."""

import json
import re
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.testclient import TestClient

from yolo_api import examples
from yolo_api.schemas import ErrorAnswer, ModelStatus, StartAnswer, StartRequest, StatusAnswer


def test_docs_loads_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert "<script>" not in page.text
    assert [one for one in loaded if ":" in one] == ["data:,"]
    for path in loaded:
        if not path.startswith("data:"):
            answer = client.get(f"/{path}")
            assert answer.status_code == 200, path
            assert path == "help" or answer.headers["x-content-type-options"] == "nosniff"


def test_docs_files_are_swagger_ui(client: TestClient) -> None:
    script = client.get("/docs/swagger-ui-bundle.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "SwaggerUIBundle" in script.text
    assert client.get("/docs/swagger-ui.css").headers["content-type"].startswith("text/css")
    start = client.get("/docs/start.js").text
    assert '"openapi.json"' in start
    assert "validatorUrl: null" in start


@pytest.mark.parametrize(
    "file", ["core.py", "..%2fcore.py", "redoc.standalone.js", "%2e%2e%2f%2e%2e%2fetc%2fpasswd"]
)
def test_docs_serves_its_own_files_only(client: TestClient, file: str) -> None:
    assert client.get(f"/docs/{file}").status_code == 404


def test_docs_without_its_package_says_so(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yolo_api.routes.docs._PACKAGE", "not_installed_here")
    answer = client.get("/docs/swagger-ui.css")
    assert answer.status_code == 404
    assert "GET /help lists the calls" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("example", "model"),
    [
        (examples.STARTED, StartAnswer),
        (examples.STATUS, StatusAnswer),
        (examples.STATUS_OF_ONE, ModelStatus),
        (examples.ERROR, ErrorAnswer),
    ],
)
def test_examples_of_answers_are_whole(example: dict[str, Any], model: type[BaseModel]) -> None:
    assert model.model_validate(example).model_dump(exclude_unset=True) == example


def test_openapi_has_examples_that_train(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    body = document["paths"]["/start"]["post"]["requestBody"]["content"]["application/json"]
    assert len(body["examples"]) >= 4
    for name, example in body["examples"].items():
        asked = StartRequest.model_validate(example["value"])
        assert not asked.model_extra, name
        assert example["summary"]
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            for code, answer in call["responses"].items():
                assert answer["description"], (method, path, code)
    schemas = json.dumps(document["components"]["schemas"])
    assert "template." not in schemas
    assert "kubectl" not in schemas
