"""The HTTP routes."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from mien.serve import schemas
from mien.serve.problems import ProblemError, busy
from mien.serve.requests import read_pictures
from mien.serve.schemas import ExplainOptions, FacesOptions, Options, PredictOptions

if TYPE_CHECKING:
    from pydantic import BaseModel

    from mien.serve.engine import Engine, Result

_F = TypeVar("_F", bound=Callable[..., Any])


def answer_json(
    request: Request, results: list[Result], *, top_k: int | None = None, **more: Any
) -> JSONResponse:
    """Returns results as JSON.

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
    return JSONResponse({"request_id": request.state.request_id, "results": plain, **more})


def picture_routes(engine: Engine) -> APIRouter:
    """Returns the routes that read pictures."""
    router = APIRouter(prefix="/v1", tags=["pictures"])
    body = schemas.pictures_body()

    def post(path: str, name: str, responses: dict[int | str, Any]) -> Callable[[_F], _F]:
        return router.post(
            path, responses=responses, openapi_extra=body, operation_id=name,
            response_class=Response if name == "explain" else JSONResponse,
        )  # fmt: skip

    @post("/predict", "predict", schemas.picture_responses("predict"))
    async def predict(request: Request, options: Annotated[PredictOptions, Query()]) -> Response:
        """Finds the faces in each picture and reads their expressions."""
        kind = "map" if options.include_map else "photo"
        results, maps = await read_pictures(engine, request, options, kind)
        pngs = [None if png is None else base64.b64encode(png).decode() for png in maps]
        more = {"maps": pngs} if options.include_map else {}
        return answer_json(request, results, top_k=options.top_k, **more)

    @post("/predict/faces", "faces", schemas.picture_responses("faces"))
    async def predict_faces(
        request: Request, options: Annotated[FacesOptions, Query()]
    ) -> Response:
        """Reads pictures that show one face each, cropped already: no detection."""
        chosen = Options.model_validate(options.model_dump(exclude={"top_k"}))
        results, _ = await read_pictures(engine, request, chosen, "face")
        return answer_json(request, results, top_k=options.top_k)

    @post("/explain", "explain", schemas.png_responses())
    async def explain(request: Request, options: Annotated[ExplainOptions, Query()]) -> Response:
        """Draws what the model looked at, over one picture; the result is in a header."""
        results, maps = await read_pictures(
            engine, request, options, "map", label=options.label, most=1
        )
        if maps[0] is None:
            raise ProblemError(422, getattr(results[0], "error", "the picture is unreadable."))
        headers = {"x-mien-result": results[0].to_json()}
        return Response(maps[0], media_type="image/png", headers=headers)

    return router


def plain_routes(engine: Engine) -> APIRouter:
    """Returns the routes that read no picture."""
    router = APIRouter()

    def get(path: str, name: str, answer: type[BaseModel], *problems: int) -> Callable[[_F], _F]:
        responses = schemas.responses(answer, name, problems)
        return router.get(path, responses=responses, tags=["service"], operation_id=name)

    @get("/v1/models", "models", schemas.ModelList, 401, 429, 503)
    async def models() -> Response:
        """Lists models, their labels and label schemas, and detectors."""
        loaded = engine.loaded()
        entries = []
        for name, model in loaded.models.items():
            config = model.recognizer.config
            entries.append(
                {
                    "name": name, "model": config.name, "labels": list(model.recognizer.labels),
                    "schemas": model.schemas, "license": config.license,
                    "metrics": dict(config.metrics),
                }
            )  # fmt: skip
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
