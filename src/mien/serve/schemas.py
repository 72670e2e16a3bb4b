"""What a request may ask for, and what the service answers; the examples are real answers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from fastapi import Header
from pydantic import BaseModel, ConfigDict, Field, create_model

from mien.results import ErrorResult, FaceEmotion, ImageResult
from mien.serve.problems import PROBLEM_JSON

_TopK = Annotated[
    int | None, Field(ge=1, le=1000, description="Keep only the k most probable labels in `probs`.")
]
_Prior = Annotated[
    str | None,
    Field(
        max_length=400,
        description="Shares of labels to answer for: natural, balanced, or "
        "LABEL=SHARE,LABEL=SHARE.",
    ),
]
IdempotencyKey = Annotated[
    str,
    Header(
        max_length=100,
        description="A name that the client chooses: a clip that is posted again with it, since "
        "the answer was lost, is taken once.",
    ),
]


def _name(description: str) -> Any:
    return Field(None, max_length=200, description=description)


class _Options(BaseModel):
    """Options of every route that reads pictures; an unknown one is refused."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = _name("A name from /v1/models; default: the first.")
    labels: str | None = _name("Label schema to answer in, for example hes3.")


class Options(_Options):
    """Options of routes that detect faces."""

    detector: str | None = _name("A face detector from /v1/models; default: the first.")
    min_face: int | None = Field(None, ge=1, le=100_000, description="Smallest face, pixels.")
    max_faces: int | None = Field(None, ge=1, le=100_000, description="Most faces per picture.")
    prior: _Prior = None


class FacesOptions(_Options):
    """Options of /v1/predict/faces."""

    top_k: _TopK = None
    prior: _Prior = None


class PredictOptions(Options):
    """Options of /v1/predict."""

    top_k: _TopK = None
    include_map: bool = Field(
        False,  # noqa: FBT003 - pydantic's own form
        description="Add `maps`: for each picture a base64 PNG of what the model looked at.",
    )


class ExplainOptions(Options):
    """Options of /v1/explain."""

    label: str | None = _name("Label to explain; default: the most probable.")


class ClipOptions(Options):
    """Options of /v1/clips."""

    fps: float = Field(5.0, gt=0, le=60, description="Frames per second of the clip that are read.")


class StreamOptions(PredictOptions, ExplainOptions):
    """Options of /v1/stream: all there are."""


def _schema_of(result: Any, **nested: Any) -> Any:
    """Returns the schema of ``result.to_dict()``; names and types are those of its class."""
    kind = type(result)
    types = {"schema_version": int, **get_type_hints(kind, localns={"Mapping": Mapping}), **nested}
    for name, value in vars(kind).items():
        if isinstance(value, property):
            types[name] = get_type_hints(value.fget)["return"]
    # What is left out where it is None has that as its default.
    known: Any = {
        name: (types[name], None if name == "prior" else ...) for name in result.to_dict()
    }
    about = f"{(kind.__doc__ or '').splitlines()[0]} See mien.{kind.__name__}."
    return create_model(kind.__name__, __doc__=about, **known)


_FACE = FaceEmotion.from_probs(["a"], [1.0], box_xyxy=(0, 0, 1, 1), detection_score=1)
Face: Any = _schema_of(_FACE)
_PICTURE = ImageResult("a", 1, 1, (), "m", "d", {}, prior={"a": 1.0})
Picture: Any = _schema_of(_PICTURE, faces=list[Face])
Unread: Any = _schema_of(ErrorResult("a", "b", "c"))


Answer = create_model(
    "Answer",
    __doc__="One result for each picture, in their order.",
    request_id=str,
    results=list[Picture | Unread],
    maps=(list[str | None] | None, None),
)


class ClipFrame(BaseModel):
    """A frame that was read; faces have `track_id` and smoothed probabilities."""

    time_s: float
    faces: list[Face]


class ClipState(BaseModel):
    """A clip: seconds of it that are read, and of how many; `frames` once it is done.

    `complete` is false where the clip breaks off, or parts of it are missing or damaged.
    """

    id: str
    status: Literal["waiting", "reading", "done", "failed", "deleted"]
    read_s: float
    length_s: float | None
    frames: list[ClipFrame] | None = None
    complete: bool | None = None
    error: str | None = None


class ModelEntry(BaseModel):
    """A model of this service."""

    name: str
    model: str
    labels: list[str]
    schemas: list[str]
    license: str
    metrics: dict[str, Any]


class ModelList(BaseModel):
    """Models and detectors, the defaults first."""

    models: list[ModelEntry]
    detectors: list[str]


class Status(BaseModel):
    """Whether the service is up, or ready."""

    status: str


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str


_EXAMPLES = json.loads(Path(__file__).with_name("examples.json").read_text(encoding="utf-8"))

_MEANING = {
    401: "No valid API key.",
    404: "Nothing of that name.",
    408: "The body did not arrive in time.",
    413: "The body is too large, or has too many pictures.",
    415: "Neither multipart nor JSON.",
    422: "An option, the body, or every picture is not usable.",
    429: "Above the client's rate; wait `Retry-After` seconds.",
    503: "Not accepted, the queue is full or the models are being loaded: "
    "wait `Retry-After` seconds. Nothing was done.",
    504: "Accepted, but not answered before the deadline.",
}

_PICTURE_PROBLEMS = (401, 408, 413, 415, 422, 429, 503, 504)


def responses(
    name: str,
    model: type[BaseModel] = Answer,
    problems: Iterable[int] = _PICTURE_PROBLEMS,
    *,
    good: int = 200,
) -> dict[int | str, dict[str, Any]]:
    """Returns FastAPI's ``responses`` of a route: the good one, and the problems."""
    content: dict[str, Any] = {"application/json": {"example": _EXAMPLES[name]}}
    if name == "explain":
        content["image/png"] = {"schema": {"type": "string", "format": "binary"}}
    answer = {"description": "Done.", "content": content, "model": model}
    found: dict[int | str, dict[str, Any]] = {good: answer}
    for status in problems:
        about = _MEANING[status]
        shown = {
            "schema": {"$ref": "#/components/schemas/Problem"},
            "example": {**_EXAMPLES["problem"], "status": status, "detail": about},
        }
        found[status] = {"description": about, "content": {PROBLEM_JSON: shown}}
    return found


def _object(required: str, **properties: Any) -> dict[str, Any]:
    shape = {"type": "object", "properties": properties, "required": [required]}
    return {**shape, "additionalProperties": False}


def _list(entry: dict[str, Any]) -> dict[str, Any]:
    return _object("images", images={"type": "array", "items": entry, "minItems": 1})


def pictures_body() -> dict[str, Any]:
    """Returns the OpenAPI description of a body with pictures."""
    upload = {
        "type": "string", "format": "binary", "contentMediaType": "application/octet-stream"
    }  # fmt: skip
    entry = _object(
        "data",
        data={"type": "string", "contentEncoding": "base64", "description": "The file."},
        name={"type": "string", "description": "Name to report it under."},
    )
    content = {
        "multipart/form-data": {"schema": _list(upload)},
        "application/json": {"schema": _list(entry), "example": _EXAMPLES["body"]},
    }
    return {"requestBody": {"required": True, "content": content}}


def clip_body() -> dict[str, Any]:
    """Returns the OpenAPI description of a body that is a clip."""
    content = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    about = "The bytes of the clip; a type such as video/mp4 is taken too."
    return {"requestBody": {"required": True, "description": about, "content": content}}
