"""The FastAPI application."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from mien import __version__
from mien.errors import needs_extra
from mien.serve.config import ServeConfig

with needs_extra("the service", "serve"):
    from fastapi import FastAPI, Request, Response
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    from mien.serve import schemas
    from mien.serve.engine import Engine
    from mien.serve.guard import Guard
    from mien.serve.logs import log
    from mien.serve.problems import PROBLEM_JSON, GoneError, ProblemError
    from mien.serve.routes import picture_routes, plain_routes
    from mien.serve.stream import stream_routes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_ABOUT = """Reads facial expressions: what an expression looks like to human raters, with calibrated
probabilities. It does not know what a person feels. Pictures are held in memory while they are
read, never written to disk, never kept, and never fetched from an address."""


def create_app(config: ServeConfig | None = None, *, owns_process: bool = False) -> FastAPI:
    """Builds the application; its models are loaded when it starts.

    Args:
        config: The settings; None: the defaults.
        owns_process: Nothing else runs in this process, so working threads may get a lower
            priority; ``mien serve`` sets it.

    Raises:
        ConfigError: If a setting is unusable (an unreadable key file, for example).
    """
    config = config or ServeConfig()
    engine = Engine(config, owns_process=owns_process)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        loading = asyncio.create_task(_load(engine))
        try:
            yield
        finally:
            engine.queue.open = False
            await asyncio.gather(loading, return_exceptions=True)
            await asyncio.to_thread(engine.close)
            log("stopped")

    app = FastAPI(
        title="mien", version=__version__, description=_ABOUT, lifespan=lifespan, redoc_url=None
    )
    app.state.engine = engine
    for router in (picture_routes(engine), plain_routes(engine), stream_routes(engine)):
        app.include_router(router)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(GoneError, _gone)
    app.add_middleware(Guard, engine=engine)
    if config.cors_origin:
        from starlette.middleware.cors import CORSMiddleware

        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(config.cors_origin),
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "x-api-key", "x-request-id"],
            expose_headers=["retry-after", "x-request-id", "x-mien-result"],
        )
    make_openapi = app.openapi

    def openapi() -> dict[str, Any]:
        document = make_openapi()
        parts = document.setdefault("components", {}).setdefault("schemas", {})
        parts["Problem"] = schemas.Problem.model_json_schema()
        # FastAPI's own 422 is never sent: ours is a Problem, and says so.
        for name in ("HTTPValidationError", "ValidationError"):
            parts.pop(name, None)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
    return app


async def _load(engine: Engine) -> None:
    try:
        await asyncio.to_thread(engine.load)
    except Exception as error:  # noqa: BLE001 - /readyz and the log say it; the process stays up
        log("loading failed", 40, error=str(error))
        return
    engine.queue.open = True
    log("ready", models=list(engine.config.models), detectors=list(engine.config.detector))


def _problem(request: Request, problem: ProblemError) -> Response:
    body = problem.body(request.state.request_id)
    return Response(body, problem.status, problem.headers, PROBLEM_JSON)


async def _invalid(request: Request, error: Exception) -> Response:
    parts = error.errors() if isinstance(error, RequestValidationError) else []
    said = "; ".join(f"{'.'.join(map(str, part['loc'][1:]))}: {part['msg']}" for part in parts)
    return _problem(request, ProblemError(422, said[:500] or "the request is not usable."))


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    detail = {404: "there is nothing at this path; see /docs.", 405: "wrong method; see /docs."}
    said = detail.get(status, str(getattr(error, "detail", "")))
    return _problem(request, ProblemError(status, said, headers=headers))


async def _gone(request: Request, error: Exception) -> Response:
    del request, error
    return Response(status_code=499)
