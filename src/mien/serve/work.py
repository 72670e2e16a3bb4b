"""One request on its way through the threads."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.results import ErrorResult, ImageResult
from mien.serve.problems import GoneError, too_late

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from concurrent.futures import Future

    from mien.errors import MienError
    from mien.pipeline import Pipeline, Prepared
    from mien.recognizer import EmotionRecognizer
    from mien.serve.batcher import Answer
    from mien.serve.config import ServeConfig
    from mien.serve.engine import Engine
    from mien.serve.models import Model
    from mien.serve.uploads import Upload

Result = ImageResult | ErrorResult


class Work:
    """The pictures of one request: decoded in the pool, classified by a model's batcher."""

    def __init__(
        self, engine: Engine, model: Model, recognizer: EmotionRecognizer, *, faces: bool
    ) -> None:
        self._engine, self._batcher = engine, model.batcher
        self._pipeline = recognizer.variant(detector="none" if faces else None).pipeline
        self._kind = "face" if faces else "photo"
        #: Nobody waits for it any more.
        self.dropped = False

    async def read(self, uploads: list[Upload]) -> list[Result]:
        """Reads some pictures of the request, in one task of the pool."""
        items, answer, took_s = await self._engine.submit(self._prepare, uploads)
        logits, run_s = self._pipeline.logits(np.zeros((0, 1, 1, 1), np.uint8)), 0.0
        if answer is not None:
            logits, run_s = await asyncio.wrap_future(answer)
        cost_s = (took_s / self._engine.config.cores + run_s) / len(items)
        self._engine.queue.learn(self._kind, cost_s)
        return self._pipeline.join(items, logits, run_s)

    def _prepare(
        self, uploads: list[Upload]
    ) -> tuple[list[Prepared], Future[Answer] | None, float]:
        if self.dropped:
            raise GoneError
        start = time.perf_counter()
        with self._engine.preparing():
            items = [prepare_upload(self._pipeline, upload) for upload in uploads]
            crops = [item.crops for item in items if len(item)]
            took_s = time.perf_counter() - start
            if self.dropped or not crops:
                return items, None, took_s
            # From this thread, not the event loop: batches are collected while others prepare.
            return items, self._batcher.submit(np.concatenate(crops)), took_s


def prepare_upload(pipeline: Pipeline, upload: Upload) -> Prepared:
    """Decodes, detects and crops one upload."""
    item = pipeline.prepare(upload.data)
    item.source, item.origin = upload.name, None
    if item.error is not None:
        item.error = about_upload(item.error, upload)
    return item


def about_upload(error: MienError, upload: Upload) -> MienError:
    """Returns an error of the library with the upload's name; a client has no ImageLimits."""
    hint = "Make it smaller." if "ImageLimits" in error.hint else error.hint
    return error.about(upload.name, hint=hint)


async def wait_for(
    future: asyncio.Future[Any],
    *,
    until: float,
    gone: Awaitable[object] | None,
    config: ServeConfig,
) -> Any:
    """Awaits a result, the deadline, or the client's leaving, whichever is first.

    Raises:
        ProblemError: 504 when the deadline passes.
        GoneError: When the client is away.
    """
    waiting: set[asyncio.Future[Any]] = {future}
    watch = None if gone is None else asyncio.ensure_future(gone)
    if watch is not None:
        waiting.add(watch)
    try:
        timeout = max(0.0, until - time.monotonic())
        done, _ = await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if watch is not None:
            watch.cancel()
    if future in done:
        return future.result()
    future.cancel()
    if done:
        raise GoneError
    raise too_late(config.deadline_s)
