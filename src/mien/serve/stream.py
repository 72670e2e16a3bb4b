"""``WS /v1/stream``: frames in, faces out; under pressure only the latest frame counts."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from mien.serve.answers import Reading, choose, read_uploads, to_base64, to_plain
from mien.serve.problems import ProblemError
from mien.serve.schemas import StreamOptions
from mien.serve.telemetry import log
from mien.serve.uploads import Upload

if TYPE_CHECKING:
    from mien.serve.engine import Engine


def stream_routes(engine: Engine) -> APIRouter:
    """Returns the WebSocket route."""
    router = APIRouter()

    @router.websocket("/v1/stream")
    async def stream(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            options = StreamOptions(**dict(websocket.query_params))  # type: ignore[arg-type]
            kind = "map" if options.include_map else "photo"
            how = choose(engine, options, kind, options.label)
        except ValidationError as error:
            names = ", ".join(str(part["loc"][0]) for part in error.errors() if part["loc"])
            await websocket.close(1008, f"unusable option: {names[:80]}")
            return
        except ProblemError as problem:
            await websocket.close(1013 if problem.status == 503 else 1008, problem.detail[:100])
            return
        # The latest frame, its number from 1, and how many were pushed out: there is room for one.
        latest: asyncio.Queue[tuple[bytes, int, int]] = asyncio.Queue(1)
        received = dropped = 0
        answering = asyncio.create_task(_answer(engine, websocket, latest, how, options.top_k))
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
                received += 1
                if latest.full():
                    latest.get_nowait()
                    dropped += 1
                    engine.metrics.dropped_frames.inc()
                latest.put_nowait((frame, received, dropped))
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
            log(
                "stream", frames=received, dropped=dropped,
                request_id=websocket.state.request_id, client=websocket.state.client,
            )  # fmt: skip

    return router


async def _answer(
    engine: Engine,
    websocket: WebSocket,
    latest: asyncio.Queue[tuple[bytes, int, int]],
    how: Reading,
    top_k: int | None,
) -> None:
    while True:
        frame, number, dropped = await latest.get()
        answer: dict[str, Any] = {"frame": number, "dropped": dropped}
        try:
            results, maps = await read_uploads(engine, [Upload(f"frame-{number}", frame)], how)
            answer["result"] = to_plain(results[0], top_k)
            if maps:
                answer["map"] = to_base64(maps)[0]
        except ProblemError as problem:
            engine.metrics.rejections.labels(problem.reason).inc()
            answer["error"] = {"status": problem.status, "detail": problem.detail}
        try:
            await websocket.send_text(json.dumps(answer))
        except (WebSocketDisconnect, RuntimeError):
            return
