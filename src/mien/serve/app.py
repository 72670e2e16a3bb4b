"""The FastAPI application."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

from mien import __version__
from mien.errors import needs_extra
from mien.serve.config import ServeConfig

with needs_extra("the service", "serve"):
    from fastapi import FastAPI, Request
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    from mien.serve.clips import clip_routes
    from mien.serve.documents import document, document_routes
    from mien.serve.engine import Engine, trim_memory
    from mien.serve.guard import Guard
    from mien.serve.problems import ProblemError
    from mien.serve.routes import picture_routes, plain_routes
    from mien.serve.stream import stream_routes
    from mien.serve.telemetry import log

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_ABOUT = """Reads facial expressions: what an expression looks like to human raters, with calibrated
probabilities. It does not know what a person feels. Pictures are held in memory while they are
read, never written to disk, never kept, and never fetched from an address."""

#: Pause between two returns of freed memory, seconds.
_TRIM_S = 10.0


def create_app(config: ServeConfig | None = None, *, owns_process: bool = False) -> FastAPI:
    """Builds the application; its models are loaded when it starts.

    Args:
        config: The settings; None: the defaults.
        owns_process: Nothing else runs in this process, so working threads may get a lower
            priority and freed memory is given back; ``mien serve`` sets it.

    Raises:
        ConfigError: If a setting is unusable (an unreadable key file, for example).
    """
    config = config or ServeConfig()
    engine = Engine(config, owns_process=owns_process)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        loading = asyncio.create_task(_load(engine))
        trimming = asyncio.create_task(_trim(engine)) if owns_process else None
        try:
            yield {"metrics": engine.metrics}  # for the protocol, which is outside of us
        finally:
            engine.queue.open = False
            if trimming is not None:
                trimming.cancel()
            await asyncio.gather(loading, return_exceptions=True)
            await asyncio.to_thread(engine.close)
            log("stopped")

    app = FastAPI(
        title="mien", version=__version__, description=_ABOUT, lifespan=lifespan,
        docs_url=None, redoc_url=None,
    )  # fmt: skip
    app.state.engine = engine
    makers = picture_routes, clip_routes, plain_routes, stream_routes
    for router in (*(make(engine) for make in makers), document_routes()):
        app.include_router(router)
    _make_problems(app)
    app.add_middleware(Guard, engine=engine)
    if config.cors_origin:
        from starlette.middleware.cors import CORSMiddleware

        app.add_middleware(
            CORSMiddleware, allow_origins=list(config.cors_origin),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=[
                "authorization", "content-type", "idempotency-key", "x-api-key", "x-request-id",
            ],
            expose_headers=["location", "retry-after", "x-request-id"],
        )  # fmt: skip
    app.openapi = partial(document, app, config)  # type: ignore[method-assign]
    return app


async def _load(engine: Engine) -> None:
    try:
        await asyncio.to_thread(engine.load)
    except Exception as error:  # noqa: BLE001 - /readyz and the log say it; the process stays up
        log("loading failed", 40, error=str(error))
        return
    engine.queue.open = True
    log("ready", models=list(engine.config.models), detectors=list(engine.config.detector))


async def _trim(engine: Engine) -> None:
    """Gives freed memory back while nothing is being read."""
    while True:
        await asyncio.sleep(_TRIM_S)
        if not engine.queue.pictures:
            await asyncio.to_thread(trim_memory)


def _make_problems(app: FastAPI) -> None:
    """Turns the errors of FastAPI into problems, which the guard answers."""

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> None:
        parts = (f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in error.errors())
        raise ProblemError(422, "; ".join(parts)[:500] or "the request is not usable.")

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> None:
        known = {404: "there is nothing at this path; see /docs.", 405: "wrong method; see /docs."}
        said = known.get(error.status_code, str(error.detail))
        raise ProblemError(error.status_code, said, headers=dict(error.headers or {}))
