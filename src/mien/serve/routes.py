"""The HTTP routes, and what those share that read pictures."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from mien.errors import DetectorError, InputError, MienError
from mien.images import decode, encode
from mien.results import ErrorResult
from mien.serve import schemas
from mien.serve.engine import about_upload
from mien.serve.problems import ProblemError, busy
from mien.serve.schemas import ExplainOptions, FacesOptions, Options, PredictOptions
from mien.serve.uploads import Upload, parse_uploads, read_body

if TYPE_CHECKING:
    from pydantic import BaseModel

    from mien.recognizer import EmotionRecognizer
    from mien.serve.engine import Engine, Result

_F = TypeVar("_F", bound=Callable[..., Any])


async def read_pictures(
    engine: Engine, request: Request, options: Options, kind: str, *, label: str | None = None,
    most: int = 0,
) -> tuple[list[Result], list[bytes | None]]:  # fmt: skip
    """Reads the pictures of a request; the maps are PNGs, None where a picture is unreadable.

    ``kind`` is ``photo``, ``face`` for crops, or ``map``, which draws a class-activation map of
    ``label`` or each face's most probable one. 0 as ``most`` allows as many as the settings.
    """
    model, recognizer = engine.loaded().choose(options)
    if label is not None:
        try:
            label = recognizer.labels[recognizer.pipeline.schema.index(label)]
        except MienError as error:
            raise ProblemError(422, str(error), parameter="label") from None

    async def draw(upload: Upload) -> tuple[Result, bytes | None]:
        result, png, took_s = await engine.submit(_explain, recognizer, upload, label, model.method)
        engine.learn("map", took_s)
        return result, png

    uploads = await _uploads(request, engine)
    if most and len(uploads) > most:
        raise ProblemError(422, f"send {most} picture at a time.")
    with engine.queue.admit(kind, len(uploads)):
        until = time.monotonic() + engine.config.deadline_s
        gone = request.receive()  # what completes when the client goes away
        if kind == "map":
            drawing = asyncio.gather(*map(draw, uploads))
            drawn = await engine.wait(drawing, until=until, gone=gone)
            results, maps = [result for result, _ in drawn], [png for _, png in drawn]
        else:
            faces, maps = kind == "face", []
            results = await engine.answer(
                uploads, model, recognizer, faces=faces, until=until, gone=gone
            )
    engine.metrics.count(results, model.name)
    return results, maps


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


def _explain(
    recognizer: EmotionRecognizer, upload: Upload, label: str | None, method: str
) -> tuple[Result, bytes | None, float]:
    """Reads one picture and draws its map as PNG, in a thread of the pool; says what it took."""
    from mien.explanation import explain

    start = time.perf_counter()
    result: Result
    try:
        image_rgb = decode(upload.data, limits=recognizer.pipeline.limits)
        found = explain(image_rgb, recognizer, label=label, method=method)
        result, png = replace(found.result, source=upload.name), encode(found.image_rgb)
    except (InputError, DetectorError) as error:
        text = str(about_upload(error, upload))
        result, png = ErrorResult(upload.name, text, type(error).__name__), None
    return result, png, time.perf_counter() - start


def answer_json(
    request: Request, results: list[Result], *, top_k: int | None = None, **more: Any
) -> JSONResponse:
    """Returns results as JSON; ProblemError 422 if no picture could be read."""
    plain = [result.to_dict() for result in results]
    errors = [entry for entry in plain if "error" in entry]
    if len(errors) == len(plain):
        raise ProblemError(422, errors[0]["error"], results=errors)
    if top_k is not None:
        for entry in plain:
            for face in entry.get("faces", ()):
                best = sorted(face["probs"].items(), key=lambda item: -item[1])[:top_k]
                face["probs"] = dict(best)
    return JSONResponse({"request_id": request.state.request_id, "results": plain, **more})


def _base64(maps: list[bytes | None]) -> list[str | None]:
    return [None if png is None else base64.b64encode(png).decode() for png in maps]


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
        more = {"maps": _base64(maps)} if options.include_map else {}
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
        return answer_json(request, results, maps=_base64(maps))

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
