"""The OpenAPI document, and the page that shows it: offline, with assets of ``fastapi-offline``."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response

from mien.errors import needs_extra
from mien.serve import schemas
from mien.serve.problems import ProblemError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from mien.serve.config import ServeConfig

_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}
_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "The API key."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def is_document(path: str) -> bool:
    """Whether a path leads to the documents: they say what the source says, so no key is needed."""
    return path in {"/docs", "/openapi.json"} or path.startswith("/docs/")


def document(app: FastAPI, config: ServeConfig) -> dict[str, Any]:
    """Returns the OpenAPI document; an operation that may answer 401 declares both kinds of key."""
    found = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes,
        servers=[{"url": config.root_path}] if config.root_path else None,
    )  # fmt: skip
    parts = found.setdefault("components", {}).setdefault("schemas", {})
    parts["Problem"] = schemas.Problem.model_json_schema()
    # FastAPI's own 422 is never sent: ours is a Problem, and says so.
    for name in ("HTTPValidationError", "ValidationError"):
        parts.pop(name, None)
    found["components"]["securitySchemes"] = _KEYS
    ways: list[dict[str, list[str]]] = [{name: []} for name in _KEYS]
    for operations in found["paths"].values():
        for operation in operations.values():
            if "401" in operation["responses"]:
                operation["security"] = ways if config.needs_key else [*ways, {}]
    return found


def document_routes() -> APIRouter:
    """Returns the page and its assets."""
    router = APIRouter(prefix="/docs", include_in_schema=False)

    @router.get("")
    async def page(request: Request) -> Response:
        root = request.scope["root_path"]
        html = get_swagger_ui_html(
            title="mien", openapi_url=f"{root}/openapi.json", oauth2_redirect_url=None,
            swagger_js_url=f"{root}/docs/swagger-ui-bundle.js",
            swagger_css_url=f"{root}/docs/swagger-ui.css",
            swagger_favicon_url=f"{root}/docs/favicon.png",
            swagger_ui_parameters={"validatorUrl": None},
        )  # fmt: skip
        html.headers["content-security-policy"] = _policy(bytes(html.body).decode())
        return html

    @router.get("/{name}")
    async def asset(name: str) -> Response:
        if name not in _ASSETS:
            raise ProblemError(404, "there is nothing at this path; see /docs.")
        with needs_extra("the page of the service's documents", "serve"):
            static = resources.files("fastapi_offline") / "static"
        data = (static / name).read_bytes()
        return Response(data, media_type=_ASSETS[name])

    return router


def _policy(html: str) -> str:
    """Lets the page run its own scripts, and load from and send to this service only."""
    script = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in script)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src 'self' {allowed}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
    )
