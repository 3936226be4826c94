"""`GET /help`: the calls, and what a training can be asked for; for a person or for a program."""

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from ..deps import get_services
from ..spec_keys import KEYS, OPTIONS

router = APIRouter(tags=["legacy"])

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>YOLO training: the calls</title>
<style>
 :root {{ color-scheme: light dark }}
 body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
 table {{ border-collapse: collapse; width: 100% }} th, td {{ text-align: left; vertical-align: top;
 padding: .4rem .8rem .4rem 0; border-bottom: 1px solid #8886 }} code, pre {{ font-size: .9em }}
 pre {{ overflow: auto; padding: .8rem; border: 1px solid #8886 }}
</style></head><body>
<h1>YOLO training: the calls</h1>
<p>Each call answers in JSON. Errors have proper codes and the body
<code>{{"detail": "...", "error": "..."}}</code>. The full description, for tools, is
<a href="openapi.json">openapi.json</a>; <a href="docs">docs</a> lets you try them.</p>
<table><thead><tr><th scope="col">Call</th><th scope="col">What it does</th></tr></thead><tbody>
{rows}
</tbody></table>
<h2>Start a training</h2>
<pre>curl -H 'Content-Type: application/json' {base}start -d '{{"model_name": "helmet",
  "model_type": "yolov5s", "train_ucd": "helmet_demo", "val_ucd": "None",
  "labels": "helmet,person", "epochs": 100, "batch_size": 16}}'</pre>
<h2>What <code>POST /start</code> takes</h2>
<table><thead><tr><th scope="col">Key</th><th scope="col">Type</th><th scope="col">Default</th>
<th scope="col">Meaning</th></tr></thead><tbody>
{fields}
</tbody></table>
</body></html>
"""


@router.get("/help", summary="The calls", response_class=Response)
async def show_help(request: Request) -> Response:
    """A page for a browser; for others an index `{"calls": [{method, path, summary, description}], "start":
    [{key, type, default, required, description}]}`, the latter of what `POST /start` takes.
    """
    openapi = request.app.openapi()
    installed = get_services(request).settings.default_resources
    own = {KEYS["template", "resources", name]: value for name, value in installed.items()}
    calls = list_calls(openapi)
    fields = [
        {**field, "default": own.get(field["key"], field["default"])}
        for field in list_fields(openapi["components"]["schemas"])
    ]
    if "text/html" not in request.headers.get("accept", ""):
        index = {"calls": calls, "start": fields, "openapi": "/openapi.json", "docs": "/docs"}
        return JSONResponse(index, headers={"Vary": "Accept"})
    rows = "\n".join(
        f"<tr><td><code>{escape(call['method'])} {escape(call['path'])}</code></td>"
        f"<td>{escape(call['description'] or call['summary'])}</td></tr>"
        for call in calls
    )
    shown = "\n".join(
        f"<tr><td><code>{escape(field['key'])}</code></td><td>{escape(field['type'])}</td>"
        f"<td>{escape(_default(field))}</td><td>{escape(field['description'])}</td></tr>"
        for field in fields
    )
    headers = {
        "Vary": "Accept",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    }
    return HTMLResponse(
        _PAGE.format(rows=rows, fields=shown, base=escape(str(request.base_url))), headers=headers
    )


def list_calls(openapi: dict[str, Any]) -> list[dict[str, str]]:
    """The old server's calls in an OpenAPI document, in the order in which they are declared."""
    return [
        {
            "method": method.upper(),
            "path": path,
            "summary": call.get("summary", ""),
            "description": " ".join(call.get("description", "").split()),
        }
        for path, methods in openapi["paths"].items()
        for method, call in methods.items()
        if "legacy" in call.get("tags", ())
    ]


def list_fields(schemas: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The keys of the body of `POST /start`, the old server's first."""
    body = schemas["StartRequest"]
    keys = sorted(body["properties"], key=lambda key: key in OPTIONS)
    return [
        {
            "key": key,
            "type": _type(body["properties"][key], schemas),
            "default": body["properties"][key].get("default"),
            "required": key in body["required"],
            "description": " ".join(body["properties"][key].get("description", "").split()),
        }
        for key in keys
    ]


def _type(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    """A JSON schema in words, such as `integer or string`."""
    if "$ref" in schema:
        return _type(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "anyOf" in schema:
        return " or ".join(
            dict.fromkeys(t for one in schema["anyOf"] if (t := _type(one, schemas)) != "null")
        )
    if "enum" in schema:
        return " or ".join(f'"{value}"' for value in schema["enum"])
    if schema.get("type") == "array" and "items" in schema:
        return f"list of {_type(schema['items'], schemas)}"
    if "properties" in schema:
        return f"object of {', '.join(schema['properties'])}"
    return str(schema.get("type", "object"))


def _default(field: Mapping[str, Any]) -> str:
    if field["required"]:
        return "required"
    return "" if field["default"] is None else json.dumps(field["default"], ensure_ascii=False)
