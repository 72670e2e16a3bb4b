"""One request on its way through the threads."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.results import ErrorResult, ImageResult
from mien.serve.batcher import Ticket
from mien.serve.problems import GoneError, too_late

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mien.errors import MienError
    from mien.pipeline import Pipeline, Prepared
    from mien.recognizer import EmotionRecognizer
    from mien.serve.config import ServeConfig
    from mien.serve.engine import Engine
    from mien.serve.models import Model
    from mien.serve.uploads import Upload

Result = ImageResult | ErrorResult


class Work:
    """One request on its way through the threads."""

    def __init__(
        self,
        engine: Engine,
        model: Model,
        recognizer: EmotionRecognizer,
        *,
        faces: bool,
        until: float,
        count: int,
    ) -> None:
        self._engine, self._model = engine, model
        self._pipeline = recognizer.variant(detector="none" if faces else None).pipeline
        self._kind = "face" if faces else "photo"
        self._until = until
        self._loop = asyncio.get_running_loop()
        self._left = count
        self._parts: list[list[Result]] = [[] for _ in range(count)]
        self.finished: asyncio.Future[list[list[Result]]] = self._loop.create_future()
        self.dropped = False

    def wanted(self) -> bool:
        """Whether anybody still waits for it."""
        return not self.dropped and time.monotonic() < self._until

    def prepare(self, index: int, uploads: list[Upload]) -> None:
        """Decodes, detects and crops; in a thread of the pool."""
        if not self.wanted():
            return
        start = time.perf_counter()
        try:
            with self._engine.preparing():
                items = [prepare_upload(self._pipeline, upload) for upload in uploads]
                crops = [item.crops for item in items if len(item)]
                count = sum(map(len, crops))
                took_s = time.perf_counter() - start
                if count:
                    ticket = Ticket(
                        np.concatenate(crops),
                        lambda logits, run_s: self._ran(index, items, logits, took_s, run_s),
                        self.wanted,
                    )
                    self._model.batcher.submit(ticket)
            if not count:
                none = self._pipeline.logits(np.zeros((0, 1, 1, 1), np.uint8))
                self._ran(index, items, none, took_s, 0.0)
        except Exception as error:  # noqa: BLE001 - it is raised again where it is awaited
            self._post(self._fail, error)

    def _ran(
        self, index: int, items: list[Prepared], logits: Any, took_s: float, run_s: float
    ) -> None:
        if isinstance(logits, Exception):
            self._post(self._fail, logits)
        elif logits is not None:
            self._post(self._finish, index, items, logits, took_s, run_s)

    def _post(self, function: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(function, *arguments)

    def _fail(self, error: Exception) -> None:
        if not self.finished.done():
            self.finished.set_exception(error)

    def _finish(
        self, index: int, items: list[Prepared], logits: Any, took_s: float, run_s: float
    ) -> None:
        engine = self._engine
        engine.gate.learn(self._kind, (took_s / engine.config.cores + run_s) / len(items))
        if self.finished.done():
            return
        try:
            self._parts[index] = self._pipeline.join(items, logits, run_s)
        except Exception as error:  # noqa: BLE001 - it is raised again where it is awaited
            self._fail(error)
            return
        self._left -= 1
        if not self._left:
            self.finished.set_result(self._parts)


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
