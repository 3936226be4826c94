"""`GET /docs`: the calls to read and to try, in Swagger UI, whose files come from the image, not from a CDN.

They are those of the package `fastapi-offline` (MIT), which holds Swagger UI's distribution (Apache-2.0) as
it is. Of the package nothing is imported.
"""

import importlib.util
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, Response

from ..errors import MissingFileError

router = APIRouter(include_in_schema=False)

_PACKAGE = "fastapi_offline"
_FILES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
"""What of the package is served, and as what."""
_START = "start.js"
_PAGE = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>YOLO training: the calls, to try</title>
<link rel="stylesheet" href="docs/swagger-ui.css"><link rel="icon" href="data:,">
</head><body><div id="page">This page needs JavaScript; <a href="help">the calls without it</a>.</div>
<script src="docs/swagger-ui-bundle.js"></script><script src="docs/{_START}"></script>
</body></html>
"""
_SCRIPT = """\
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#page",
  deepLinking: true,
  validatorUrl: null,  // would send the document elsewhere
  persistAuthorization: false,
  tryItOutEnabled: true,
  supportedSubmitMethods: ["get", "post", "delete"],
});
"""
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # Swagger UI sets styles of single elements
        "img-src 'self' data:",  # its icons
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@router.get("/docs")
async def show_docs() -> HTMLResponse:
    """The page; it loads nothing but the files below and `openapi.json`."""
    return HTMLResponse(_PAGE, headers=_HEADERS)


@router.get(f"/docs/{_START}")
async def start_script() -> Response:
    """What starts Swagger UI: a file of its own, so that no script within a page has to be allowed."""
    return Response(_SCRIPT, media_type="text/javascript", headers=_HEADERS)


@router.get("/docs/{file}")
async def docs_file(file: str) -> FileResponse:
    """A file of Swagger UI."""
    if file not in _FILES:
        raise MissingFileError(f"the page has no file {file!r}; GET /docs shows it")
    return FileResponse(_folder() / file, media_type=_FILES[file], headers=_HEADERS)


def _folder() -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise MissingFileError(
            f"the package {_PACKAGE} with the page's files is not installed; GET /help lists the calls"
        )
    return Path(found.submodule_search_locations[0]) / "static"
