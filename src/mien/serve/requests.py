"""What the routes that read pictures share."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mien.serve.problems import busy
from mien.serve.uploads import Upload, parse_uploads, read_body

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from fastapi import Request

    from mien.serve.admission import Admission
    from mien.serve.engine import Engine
    from mien.serve.models import Models
    from mien.serve.work import Result


def models_of(engine: Engine) -> Models:
    """Returns the loaded models.

    Raises:
        ProblemError: 503 while they are being loaded.
    """
    if engine.models is None:
        raise busy(engine.problem)
    return engine.models


async def read_uploads(
    request: Request, engine: Engine, admission: Admission
) -> tuple[list[Upload], float]:
    """Reads the pictures of a request; returns them and when to give up.

    Raises:
        ProblemError: If the body is too large, too slow, damaged, or there is no room for it.
    """
    config = engine.config
    body = await read_body(request.receive, most=config.max_body, timeout_s=config.body_timeout_s)
    content_type = request.headers.get("content-type", "")
    uploads = await parse_uploads(body, content_type, most=config.max_images)
    admission.grow(len(uploads))
    request.state.fields = {"pictures": len(uploads), "bytes": len(body)}
    return uploads, time.monotonic() + config.deadline_s


def count(engine: Engine, results: list[Result], model: str) -> None:
    """Counts pictures and faces."""
    for result in results:
        faces = getattr(result, "faces", None)
        outcome = "unreadable" if faces is None else "faces" if faces else "no_face"
        engine.metrics.pictures.labels(outcome).inc()
        if faces:
            engine.metrics.faces.labels(model).inc(len(faces))


def left(request: Request) -> Awaitable[object]:
    """Returns what completes when the client goes away; the body must be read by then."""
    return request.receive()
