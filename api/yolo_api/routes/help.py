"""`GET /help`: the calls, for a person or for a program."""

from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

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
<a href="openapi.json">openapi.json</a>.</p>
<table><thead><tr><th scope="col">Call</th><th scope="col">What it does</th></tr></thead><tbody>
{rows}
</tbody></table>
<h2>Start a training</h2>
<pre>curl -H 'Content-Type: application/json' {base}start -d '{{"model_name": "helmet",
  "model_type": "yolov5s", "train_ucd": "helmet_demo", "val_ucd": "None",
  "labels": "helmet,person", "epochs": 100, "batch_size": 16}}'</pre>
<p>On the cluster the same training is <code>kubectl get yolotrainings</code>.</p>
</body></html>
"""


@router.get("/help", summary="The calls", response_class=Response)
async def show_help(request: Request) -> Response:
    """A page for a browser; for others an index `{"calls": [{method, path, summary, description}]}`."""
    calls = list_calls(request.app.openapi())
    if "text/html" not in request.headers.get("accept", ""):
        return JSONResponse({"calls": calls, "openapi": "/openapi.json"}, headers={"Vary": "Accept"})
    rows = "\n".join(
        f"<tr><td><code>{escape(call['method'])} {escape(call['path'])}</code></td>"
        f"<td>{escape(call['description'] or call['summary'])}</td></tr>"
        for call in calls
    )
    headers = {
        "Vary": "Accept",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    }
    return HTMLResponse(_PAGE.format(rows=rows, base=escape(str(request.base_url))), headers=headers)


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
