"""The HTTP routes."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from mien.serve import schemas
from mien.serve.maps import explain_uploads, png_responses
from mien.serve.options import ExplainOptions, FacesOptions, Options, PredictOptions
from mien.serve.problems import ProblemError, busy
from mien.serve.requests import count, left, models_of, read_uploads

if TYPE_CHECKING:
    from mien.serve.engine import Engine
    from mien.serve.uploads import Upload
    from mien.serve.work import Result

_JSON = "application/json"


def answer_json(
    request: Request, results: list[Result], *, top_k: int | None = None, **more: Any
) -> Response:
    """Returns results as JSON, or the problem if no picture could be read.

    Raises:
        ProblemError: 422 if no picture could be read.
    """
    plain = [result.to_dict() for result in results]
    errors = [entry for entry in plain if "error" in entry]
    if len(errors) == len(plain):
        raise ProblemError(422, errors[0]["error"], results=errors)
    if top_k is not None:
        for entry in plain:
            for face in entry.get("faces", ()):
                best = sorted(face["probs"].items(), key=lambda item: -item[1])[:top_k]
                face["probs"] = dict(best)
    content = {"request_id": request.state.request_id, "results": plain, **more}
    return Response(json.dumps(content), media_type=_JSON)


def picture_routes(engine: Engine) -> APIRouter:
    """Returns the routes that read pictures."""
    router = APIRouter(prefix="/v1", tags=["pictures"])
    good = schemas.responses(schemas.Answer, "predict", schemas.PICTURE_PROBLEMS)
    crops = schemas.responses(schemas.Answer, "faces", schemas.PICTURE_PROBLEMS)
    body = schemas.pictures_body()

    async def read(
        request: Request, options: Options, kind: str
    ) -> tuple[list[Upload], list[Result]]:
        models = models_of(engine)
        model, recognizer = models.choose(options)
        with engine.queue.admit(kind) as admission:
            uploads, until = await read_uploads(request, engine, admission)
            results = await engine.answer(
                uploads, model, recognizer,
                faces=kind == "face", until=until, gone=left(request),
            )  # fmt: skip
        count(engine, results, model.name)
        return uploads, results

    @router.post("/predict", responses=good, openapi_extra=body, operation_id="predict")
    async def predict(request: Request, options: Annotated[PredictOptions, Query()]) -> Response:
        """Finds the faces in each picture and reads their expressions."""
        if options.include_map:
            return await _with_maps(request, options)
        _, results = await read(request, options, "photo")
        return answer_json(request, results, top_k=options.top_k)

    async def _with_maps(request: Request, options: PredictOptions) -> Response:
        results, maps = await explain_uploads(engine, request, options, label=None)
        pngs = [None if png is None else base64.b64encode(png).decode() for png in maps]
        return answer_json(request, results, top_k=options.top_k, maps=pngs)

    @router.post("/predict/faces", responses=crops, openapi_extra=body, operation_id="faces")
    async def predict_faces(
        request: Request, options: Annotated[FacesOptions, Query()]
    ) -> Response:
        """Reads pictures that show one face each, cropped already: no detection."""
        chosen = Options.model_validate(options.model_dump(exclude={"top_k"}))
        _, results = await read(request, chosen, "face")
        return answer_json(request, results, top_k=options.top_k)

    @router.post(
        "/explain",
        responses=png_responses(),
        openapi_extra=body,
        operation_id="explain",
        response_class=Response,
    )
    async def explain(request: Request, options: Annotated[ExplainOptions, Query()]) -> Response:
        """Draws what the model looked at, over one picture; the result is in a header."""
        results, maps = await explain_uploads(engine, request, options, label=options.label, most=1)
        if maps[0] is None:
            raise ProblemError(422, getattr(results[0], "error", "the picture is unreadable."))
        headers = {"x-mien-result": results[0].to_json()}
        return Response(maps[0], media_type="image/png", headers=headers)

    return router


def plain_routes(engine: Engine) -> APIRouter:
    """Returns the routes that read no picture."""
    router = APIRouter()
    listed = schemas.responses(schemas.ModelList, "models", (401, 429, 503))
    ready = schemas.responses(schemas.Status, "ready", (503,))

    @router.get("/v1/models", responses=listed, tags=["service"], operation_id="models")
    async def models() -> Response:
        """Lists models, their labels and label schemas, and detectors."""
        loaded = models_of(engine)
        entries = [
            {
                "name": name,
                "model": model.recognizer.config.name,
                "labels": list(model.recognizer.labels),
                "schemas": model.schemas,
                "license": model.recognizer.config.license,
                "metrics": dict(model.recognizer.config.metrics),
            }
            for name, model in loaded.models.items()
        ]
        content = {"models": entries, "detectors": list(loaded.detectors)}
        return Response(json.dumps(content), media_type=_JSON)

    @router.get(
        "/healthz", responses=schemas.responses(schemas.Status, "health", ()), tags=["service"],
        operation_id="health",
    )  # fmt: skip
    async def health() -> Response:
        """The process is up."""
        return Response(json.dumps({"status": "up"}), media_type=_JSON)

    @router.get("/readyz", responses=ready, tags=["service"], operation_id="ready")
    async def is_ready() -> Response:
        """The models answered a warm-up, and the service is not stopping."""
        if engine.models is None or not engine.queue.open:
            raise busy(engine.problem)
        return Response(json.dumps({"status": "ready"}), media_type=_JSON)

    @router.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        content, kind = engine.metrics.text()
        return Response(content, headers={"content-type": kind})

    return router
