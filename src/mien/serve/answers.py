"""What the routes and the stream share: pictures in, results and maps out."""

from __future__ import annotations

import asyncio
import base64
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from mien.errors import DetectorError, InputError, MienError
from mien.images import decode, encode
from mien.results import ErrorResult
from mien.serve.engine import about_upload
from mien.serve.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mien.recognizer import EmotionRecognizer
    from mien.serve.engine import Engine, Result
    from mien.serve.models import Model
    from mien.serve.schemas import Options
    from mien.serve.uploads import Upload


class Reading(NamedTuple):
    """How pictures are to be read.

    ``kind`` is ``photo``, ``face`` for crops, or ``map``, which draws a class-activation map of
    ``label`` or each face's most probable one.
    """

    model: Model
    recognizer: EmotionRecognizer
    kind: str = "photo"
    label: str | None = None


def choose(engine: Engine, options: Options, kind: str, label: str | None = None) -> Reading:
    """Returns how a request wants its pictures to be read; ProblemError 422 or 503."""
    model, recognizer = engine.loaded().choose(options)
    if label is not None:
        try:
            label = recognizer.labels[recognizer.pipeline.schema.index(label)]
        except MienError as error:
            raise ProblemError(422, str(error), parameter="label") from None
    return Reading(model, recognizer, kind, label)


async def read_uploads(
    engine: Engine,
    uploads: list[Upload],
    how: Reading,
    gone: Callable[[], Awaitable[object]] | None = None,
) -> tuple[list[Result], list[bytes | None]]:
    """Reads pictures that are there; the maps are PNGs, None where a picture is unreadable.

    ``gone`` is called for what completes when the client goes away.
    """

    async def draw(upload: Upload) -> tuple[Result, bytes | None]:
        result, png, took_s = await engine.submit(explain_upload, how, upload)
        engine.learn("map", took_s)
        return result, png

    with engine.queue.admit(how.kind, len(uploads)):
        until, maps = time.monotonic() + engine.config.deadline_s, []
        left = None if gone is None else gone()
        if how.kind == "map":
            drawing = asyncio.gather(*map(draw, uploads))
            drawn = await engine.wait(drawing, until=until, gone=left)
            results, maps = [result for result, _ in drawn], [png for _, png in drawn]
        else:
            results = await engine.answer(
                uploads, how.model, how.recognizer, faces=how.kind == "face", until=until, gone=left
            )
    engine.metrics.count(results, how.model.name)
    return results, maps


def explain_upload(how: Reading, upload: Upload) -> tuple[Result, bytes | None, float]:
    """Reads one picture and draws its map as PNG, in a thread of the pool; says what it took."""
    from mien.explanation import explain

    start = time.perf_counter()
    result: Result
    try:
        image_rgb = decode(upload.data, limits=how.recognizer.pipeline.limits)
        found = explain(image_rgb, how.recognizer, label=how.label, method=how.model.method)
        result, png = replace(found.result, source=upload.name), encode(found.image_rgb)
    except (InputError, DetectorError) as error:
        text = str(about_upload(error, upload))
        result, png = ErrorResult(upload.name, text, type(error).__name__), None
    return result, png, time.perf_counter() - start


def to_plain(result: Result, top_k: int | None = None) -> dict[str, Any]:
    """Returns a result as plain JSON types, with each face's ``top_k`` most probable labels."""
    plain = result.to_dict()
    if top_k is not None:
        for face in plain.get("faces", ()):
            best = sorted(face["probs"].items(), key=lambda item: -item[1])[:top_k]
            face["probs"] = dict(best)
    return plain


def to_base64(maps: list[bytes | None]) -> list[str | None]:
    """Returns the maps as JSON holds them."""
    return [None if png is None else base64.b64encode(png).decode() for png in maps]
