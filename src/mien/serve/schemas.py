"""What the service answers, for its OpenAPI documents; the examples are real answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import BaseModel, create_model

from mien.results import ErrorResult, FaceEmotion, ImageResult
from mien.serve.problems import PROBLEM_JSON


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
    408: "The body did not arrive in time.",
    413: "The body is too large, or has too many pictures.",
    415: "Neither multipart nor JSON.",
    422: "An option, the body, or every picture is not usable.",
    429: "Above the client's rate; wait `Retry-After` seconds.",
    503: "Not accepted, the queue is full or the models are being loaded: "
    "wait `Retry-After` seconds. Nothing was done.",
    504: "Accepted, but not answered before the deadline.",
}
PICTURE_PROBLEMS = tuple(_MEANING)


def responses(
    model: type[BaseModel] | None, example: str, problems: tuple[int, ...]
) -> dict[int | str, dict[str, Any]]:
    """Returns FastAPI's ``responses`` of a route: the good one, and the problems."""
    content: dict[str, Any] = {"application/json": {"example": _EXAMPLES[example]}}
    good: dict[str, Any] = {"description": "Done.", "content": content}
    if model is not None:
        good["model"] = model
    schema = {"$ref": "#/components/schemas/Problem"}
    found: dict[int | str, dict[str, Any]] = {200: good}
    for status in problems:
        found[status] = {
            "description": _MEANING[status],
            "content": {PROBLEM_JSON: {"schema": schema, "example": _problem(status)}},
        }
    return found


def _problem(status: int) -> dict[str, Any]:
    return {**_EXAMPLES["problem"], "status": status, "detail": _MEANING[status]}


def pictures_body() -> dict[str, Any]:
    """Returns the OpenAPI description of a body with pictures."""
    upload = {"type": "string", "contentMediaType": "application/octet-stream"}
    entry = {
        "type": "object",
        "properties": {
            "data": {"type": "string", "contentEncoding": "base64", "description": "The file."},
            "name": {"type": "string", "description": "Name to report it under."},
        },
        "required": ["data"],
        "additionalProperties": False,
    }
    multipart = {
        "type": "object",
        "properties": {"images": {"type": "array", "items": upload, "minItems": 1}},
        "required": ["images"],
        "additionalProperties": False,
    }
    body = {
        "type": "object",
        "properties": {"images": {"type": "array", "items": entry, "minItems": 1}},
        "required": ["images"],
        "additionalProperties": False,
    }
    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": multipart},
                "application/json": {"schema": body, "example": _EXAMPLES["body"]},
            },
        }
    }
