"""``WS /v1/stream``: frames in, faces out; under pressure only the latest frame counts."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from mien.serve.logs import log
from mien.serve.options import Options
from mien.serve.problems import GoneError, ProblemError
from mien.serve.requests import count, models_of
from mien.serve.uploads import Upload

if TYPE_CHECKING:
    from mien.serve.engine import Engine


class _Latest:
    """One place for a frame; a newer one pushes an older one out."""

    def __init__(self) -> None:
        self._frame: tuple[int, bytes] | None = None
        self._there = asyncio.Event()
        self.received = self.dropped = 0
        self.closed = False

    def put(self, frame: bytes) -> bool:
        """Keeps a frame; returns whether one was pushed out."""
        pushed = self._frame is not None
        self.received += 1
        self.dropped += pushed
        self._frame = (self.received, frame)
        self._there.set()
        return pushed

    def close(self) -> None:
        """Says that no more comes."""
        self.closed = True
        self._there.set()

    async def take(self) -> tuple[int, bytes] | None:
        """Returns the latest frame and its number, from 1; None at the end."""
        await self._there.wait()
        if self.closed:
            return None
        frame, self._frame = self._frame, None
        self._there.clear()
        return frame


def stream_routes(engine: Engine) -> APIRouter:
    """Returns the WebSocket route."""
    router = APIRouter()

    @router.websocket("/v1/stream")
    async def stream(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            options = Options(**dict(websocket.query_params))  # type: ignore[arg-type]
            choice = models_of(engine).choose(options)
        except ValidationError as error:
            names = ", ".join(str(part["loc"][0]) for part in error.errors() if part["loc"])
            await websocket.close(1008, f"unusable option: {names[:80]}")
            return
        except ProblemError as problem:
            await websocket.close(1013 if problem.status == 503 else 1008, problem.detail[:100])
            return
        latest = _Latest()
        answering = asyncio.create_task(_answer(engine, websocket, latest, choice))
        try:
            while True:
                message = await websocket.receive()
                if message["type"] == "websocket.disconnect":
                    break
                frame = message.get("bytes")
                if frame is None:
                    await websocket.close(1003, "frames are binary messages")
                    break
                if len(frame) > engine.config.max_body:
                    await websocket.close(1009, "the frame is too large")
                    break
                if latest.put(frame):
                    engine.metrics.dropped_frames.inc()
        finally:
            latest.close()
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
            log(
                "stream", frames=latest.received, dropped=latest.dropped,
                request_id=websocket.state.request_id, client=websocket.state.client,
            )  # fmt: skip

    return router


async def _answer(
    engine: Engine, websocket: WebSocket, latest: _Latest, choice: tuple[Any, Any]
) -> None:
    model, recognizer = choice
    while (taken := await latest.take()) is not None:
        number, frame = taken
        answer: dict[str, Any] = {"frame": number, "dropped": latest.dropped}
        try:
            with engine.queue.admit("photo"):
                results = await engine.answer(
                    [Upload(f"frame-{number}", frame)], model, recognizer,
                    faces=False, until=time.monotonic() + engine.config.deadline_s,
                )  # fmt: skip
            count(engine, results, model.name)
            answer["result"] = results[0].to_dict()
        except ProblemError as problem:
            answer["error"] = {"status": problem.status, "detail": problem.detail}
        except GoneError:
            return
        try:
            await websocket.send_text(json.dumps(answer))
        except (WebSocketDisconnect, RuntimeError):
            return
