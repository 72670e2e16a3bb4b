"""The HTTP routes, and what those share that read pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from mien.serve import schemas
from mien.serve.answers import choose, read_uploads, to_base64, to_plain
from mien.serve.problems import ProblemError, busy
from mien.serve.schemas import ExplainOptions, FacesOptions, Options, PredictOptions
from mien.serve.uploads import parse_uploads, read_body

if TYPE_CHECKING:
    from pydantic import BaseModel

    from mien.serve.engine import Engine, Result
    from mien.serve.uploads import Upload

_F = TypeVar("_F", bound=Callable[..., Any])


async def read_pictures(
    engine: Engine, request: Request, options: Options, kind: str, *, label: str | None = None,
    most: int = 0,
) -> tuple[list[Result], list[bytes | None]]:  # fmt: skip
    """Reads the pictures of a request; 0 as ``most`` allows as many as the settings."""
    how = choose(engine, options, kind, label)
    uploads = await _uploads(request, engine)
    if most and len(uploads) > most:
        raise ProblemError(422, f"send {most} picture at a time.")
    return await read_uploads(engine, uploads, how, request.receive)


async def _uploads(request: Request, engine: Engine) -> list[Upload]:
    """Reads the body; returns its pictures."""
    config = engine.config
    async with engine.bodies.open(request.state.client) as grow:
        body = await read_body(
            request.receive, most=config.max_body, timeout_s=config.body_timeout_s, grow=grow
        )
        content_type = request.headers.get("content-type", "")
        uploads = await parse_uploads(body, content_type, most=config.max_images)
    request.state.fields = {"pictures": len(uploads), "bytes": len(body)}
    return uploads


def answer_json(
    request: Request, results: list[Result], *, top_k: int | None = None, **more: Any
) -> JSONResponse:
    """Returns results as JSON; ProblemError 422 if no picture could be read."""
    plain = [to_plain(result, top_k) for result in results]
    errors = [entry for entry in plain if "error" in entry]
    if len(errors) == len(plain):
        raise ProblemError(422, errors[0]["error"], results=errors)
    return JSONResponse({"request_id": request.state.request_id, "results": plain, **more})


def picture_routes(engine: Engine) -> APIRouter:
    """Returns the routes that read pictures."""
    router = APIRouter(prefix="/v1", tags=["pictures"])
    body = schemas.pictures_body()

    def post(path: str, name: str) -> Callable[[_F], _F]:
        known = schemas.responses(name)
        return router.post(path, responses=known, openapi_extra=body, operation_id=name)

    @post("/predict", "predict")
    async def predict(request: Request, options: Annotated[PredictOptions, Query()]) -> Response:
        """Finds the faces in each picture and reads their expressions."""
        kind = "map" if options.include_map else "photo"
        results, maps = await read_pictures(engine, request, options, kind)
        more = {"maps": to_base64(maps)} if options.include_map else {}
        return answer_json(request, results, top_k=options.top_k, **more)

    @post("/predict/faces", "faces")
    async def predict_faces(
        request: Request, options: Annotated[FacesOptions, Query()]
    ) -> Response:
        """Reads pictures that show one face each, cropped already: no detection."""
        chosen = Options.model_validate(options.model_dump(exclude={"top_k"}))
        results, _ = await read_pictures(engine, request, chosen, "face")
        return answer_json(request, results, top_k=options.top_k)

    @post("/explain", "explain")
    async def explain(request: Request, options: Annotated[ExplainOptions, Query()]) -> Response:
        """Draws what the model looked at in one picture; on `Accept: image/png` the PNG alone."""
        results, maps = await read_pictures(
            engine, request, options, "map", label=options.label, most=1
        )
        if maps[0] is not None and request.headers.get("accept") == "image/png":
            return Response(maps[0], media_type="image/png")
        return answer_json(request, results, maps=to_base64(maps))

    return router


def plain_routes(engine: Engine) -> APIRouter:
    """Returns the routes that read no picture."""
    router = APIRouter()

    def get(path: str, name: str, answer: type[BaseModel], *problems: int) -> Callable[[_F], _F]:
        known = schemas.responses(name, answer, problems)
        return router.get(path, responses=known, tags=["service"], operation_id=name)

    @get("/v1/models", "models", schemas.ModelList, 401, 429, 503)
    async def models() -> Response:
        """Lists models, their labels and label schemas, and detectors."""
        loaded = engine.loaded()
        entries = []
        for name, model in loaded.models.items():
            config = model.recognizer.config
            labels = list(model.recognizer.labels)
            entry = {"name": name, "model": config.name, "labels": labels}
            more = {"license": config.license, "metrics": dict(config.metrics)}
            entries.append({**entry, "schemas": model.schemas, **more})
        return JSONResponse({"models": entries, "detectors": list(loaded.detectors)})

    @get("/healthz", "health", schemas.Status)
    async def health() -> Response:
        """The process is up."""
        return JSONResponse({"status": "up"})

    @get("/readyz", "ready", schemas.Status, 503)
    async def is_ready() -> Response:
        """The models answered a warm-up, and the service is not stopping."""
        if engine.models is None or not engine.queue.open:
            raise busy(engine.problem)
        return JSONResponse({"status": "ready"})

    @router.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        content, kind = engine.metrics.text()
        return Response(content, headers={"content-type": kind})

    return router
