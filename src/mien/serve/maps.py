"""Class-activation maps: which parts of a face the model looked at."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mien.errors import DetectorError, InputError, MienError
from mien.images import decode, encode
from mien.results import ErrorResult
from mien.serve import schemas
from mien.serve.problems import ProblemError
from mien.serve.requests import count, left, models_of, read_uploads
from mien.serve.work import about_upload, wait_for

if TYPE_CHECKING:
    from fastapi import Request

    from mien.recognizer import EmotionRecognizer
    from mien.serve.engine import Engine
    from mien.serve.options import Options
    from mien.serve.uploads import Upload
    from mien.serve.work import Result

Map = tuple["Result", bytes | None]


def _explain(recognizer: EmotionRecognizer, upload: Upload, label: str | None, method: str) -> Map:
    """Reads one picture and draws its map as PNG; in a thread of the pool."""
    from mien.explanation import explain

    try:
        image_rgb = decode(upload.data, limits=recognizer.pipeline.limits)
        found = explain(image_rgb, recognizer, label=label, method=method)
    except (InputError, DetectorError) as error:
        text = str(about_upload(error, upload))
        return ErrorResult(upload.name, text, type(error).__name__), None
    return replace(found.result, source=upload.name), encode(found.image_rgb)


async def explain_uploads(
    engine: Engine, request: Request, options: Options, *, label: str | None, most: int = 0
) -> tuple[list[Result], list[bytes | None]]:
    """Reads the pictures of a request and draws a map for each.

    Raises:
        ProblemError: 422 if an option is unusable; 503, 504.
    """
    model, recognizer = models_of(engine).choose(options)
    if label is not None:
        try:
            label = recognizer.labels[recognizer.pipeline.schema.index(label)]
        except MienError as error:
            raise ProblemError(422, str(error), parameter="label") from None
    with engine.queue.admit("map") as admission:
        uploads, until = await read_uploads(request, engine, admission)
        if most and len(uploads) > most:
            raise ProblemError(422, f"send {most} picture at a time.")
        tasks = [
            engine.submit(_explain, recognizer, upload, label, model.method) for upload in uploads
        ]
        gathered = asyncio.gather(*tasks)
        answers: list[Map] = await wait_for(
            gathered, until=until, gone=left(request), config=engine.config
        )
    results = [result for result, _ in answers]
    count(engine, results, model.name)
    return results, [png for _, png in answers]


def png_responses() -> dict[int | str, dict[str, Any]]:
    """Returns FastAPI's ``responses`` of the route that answers with a PNG."""
    found = schemas.responses(None, "predict", schemas.PICTURE_PROBLEMS)
    found[200] = {
        "description": "The picture with the map over each face; `X-Mien-Result` has the result.",
        "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
        "headers": {"X-Mien-Result": {"schema": {"type": "string"}}},
    }
    return found
