"""What the routes that read pictures share."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from mien.errors import DetectorError, InputError, MienError
from mien.images import decode, encode
from mien.results import ErrorResult
from mien.serve.engine import about_upload
from mien.serve.problems import ProblemError
from mien.serve.uploads import Upload, parse_uploads, read_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import Request

    from mien.recognizer import EmotionRecognizer
    from mien.serve.engine import Engine, Result
    from mien.serve.schemas import Options


async def read_pictures(
    engine: Engine, request: Request, options: Options, kind: str, *, label: str | None = None,
    most: int = 0,
) -> tuple[list[Result], list[bytes | None]]:  # fmt: skip
    """Reads the pictures of a request.

    Args:
        engine: What reads them.
        request: Whose body holds them.
        options: What the request asks for.
        kind: ``photo``; ``face``: they are crops; ``map``: a class-activation map is drawn of each.
        label: The label that the maps explain; None: each face's most probable one.
        most: Most pictures; 0: as many as the settings allow.

    Returns:
        A result of each, and the maps as PNG, None where a picture is unreadable.
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

    with engine.queue.admit(kind) as grow:
        uploads, until = await _uploads(request, engine, grow)
        if most and len(uploads) > most:
            raise ProblemError(422, f"send {most} picture at a time.")
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


async def _uploads(
    request: Request, engine: Engine, grow: Callable[[int], None]
) -> tuple[list[Upload], float]:
    """Reads the body; returns its pictures and when to give up."""
    config = engine.config
    body = await read_body(request.receive, most=config.max_body, timeout_s=config.body_timeout_s)
    content_type = request.headers.get("content-type", "")
    uploads = await parse_uploads(body, content_type, most=config.max_images)
    grow(len(uploads))
    request.state.fields = {"pictures": len(uploads), "bytes": len(body)}
    return uploads, time.monotonic() + config.deadline_s


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
