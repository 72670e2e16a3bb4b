"""From uploads to results: threads decode and detect, batchers run the networks."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.results import ErrorResult, ImageResult
from mien.serve.admission import AdmissionQueue, OpenBodies
from mien.serve.batcher import Batcher
from mien.serve.clips import ClipJobs
from mien.serve.metrics import Metrics
from mien.serve.models import Models
from mien.serve.problems import GoneError, ProblemError, busy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from concurrent.futures import Future

    from mien.arrays import F32, U8
    from mien.errors import MienError
    from mien.pipeline import Prepared
    from mien.recognizer import EmotionRecognizer
    from mien.serve.batcher import Answer
    from mien.serve.config import ServeConfig
    from mien.serve.models import Model
    from mien.serve.uploads import Upload

Result = ImageResult | ErrorResult

#: How much the working threads yield to the event loop, as ``nice`` counts it.
_NICE = 5
#: Ready crops that one thread takes at once: each alone is too small to be worth a hand-over.
_CROPS_PER_TASK = 16


class Engine:
    """What one process of the service shares; where it ``owns_process``, its threads give way."""

    def __init__(self, config: ServeConfig, *, owns_process: bool = False) -> None:
        self.config = config
        self._start = lower_priority if owns_process else lambda: None
        self.queue = AdmissionQueue(config.queue_size, config.deadline_s)
        self.bodies = OpenBodies(config.max_uploads, config.queue_size * config.max_body)
        self.clips = ClipJobs(config, start=self._start)
        self.metrics = Metrics(self.queue)
        self.models: Models | None = None
        self.problem = "the models are being loaded."
        self._pool = ThreadPoolExecutor(config.cores, "mien-decode", self._start)
        self._preparing = 0
        self._lock = threading.Lock()

    def load(self) -> None:
        """Loads and warms up the models; slow, for a thread. :attr:`problem` says what fails."""
        try:
            self.models = Models(self.config, self._batcher)
        except Exception as error:
            self.problem = f"the models could not be loaded: {error}"
            raise

    def _batcher(self, model: str, run: Callable[[U8], F32]) -> Batcher:
        return Batcher(
            run, batch_size=self.config.batch_size, wait_s=self.config.batch_wait_ms / 1000,
            more_coming=lambda: self._preparing > 0, start=self._start,
            observe=partial(self.metrics.observe_run, model),
        )  # fmt: skip

    def loaded(self) -> Models:
        """Returns the models, or refuses with 503 while they are being loaded."""
        if self.models is None:
            raise busy(self.problem, reason="loading")
        return self.models

    def close(self) -> None:
        """Ends the threads; what was accepted must be answered by then."""
        self.queue.open = False
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.clips.close()
        if self.models is not None:
            self.models.close()

    async def answer(
        self,
        uploads: list[Upload],
        model: Model,
        recognizer: EmotionRecognizer,
        *,
        faces: bool,
        until: float,
        gone: Awaitable[object] | None = None,
    ) -> list[Result]:
        """Reads the pictures of one request, ready crops where they are ``faces``; see ``wait``."""
        step = _CROPS_PER_TASK if faces else 1
        chunks = [uploads[i : i + step] for i in range(0, len(uploads), step)]
        work = _Work(self, model, recognizer, faces=faces)
        reading = asyncio.gather(*(work.read(chunk) for chunk in chunks))
        try:
            parts = await self.wait(reading, until=until, gone=gone)
        finally:
            work.dropped = True
        return [result for part in parts for result in part]

    async def wait(
        self, future: asyncio.Future[Any], *, until: float, gone: Awaitable[object] | None
    ) -> Any:
        """Awaits a result; ProblemError 504 at the deadline, GoneError when the client is away."""
        future.add_done_callback(_fetch)
        watches = [] if gone is None else [asyncio.ensure_future(gone)]
        timeout = max(0.0, until - time.monotonic())
        try:
            done, _ = await asyncio.wait(
                [future, *watches], timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            future.cancel()  # whoever waits may be cancelled, too
            for watch in watches:
                watch.cancel()
        if future in done:
            return future.result()
        if done:
            raise GoneError
        late = f"not answered within {self.config.deadline_s:g} s: send fewer or smaller pictures."
        raise ProblemError(504, late)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        """Runs a function in the pool."""
        return asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    def learn(self, kind: str, seconds: float, run_s: float = 0.0) -> None:
        """Notes what one picture took one thread, and the network."""
        self.queue.learn(kind, seconds / self.config.cores + run_s)

    @contextlib.contextmanager
    def preparing(self) -> Iterator[None]:
        """Tells the batchers that crops are on their way."""
        with self._lock:
            self._preparing += 1
        try:
            yield
        finally:
            with self._lock:
                self._preparing -= 1


def _fetch(future: asyncio.Future[Any]) -> None:
    """Fetches how work ended: what nobody waits for any more is no fault to be logged."""
    if not future.cancelled():
        future.exception()


class _Work:
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
        since = time.perf_counter()
        items, answer, took_s = await self._engine.submit(self._prepare, uploads, since)
        if answer is None:
            logits, run_s = self._pipeline.logits(np.zeros((0, 1, 1, 1), np.uint8)), 0.0
        else:
            logits, run_s = await asyncio.wrap_future(answer)
        self._engine.learn(self._kind, took_s / len(items), run_s / len(items))
        return self._pipeline.join(items, logits, run_s)

    def _prepare(
        self, uploads: list[Upload], since: float
    ) -> tuple[list[Prepared], Future[Answer] | None, float]:
        if self.dropped:
            raise GoneError
        start, metrics = time.perf_counter(), self._engine.metrics
        metrics.waits_s.labels("decode").observe(start - since)
        with self._engine.preparing():
            items = [self._prepare_one(upload) for upload in uploads]
            crops = [item.crops for item in items if len(item)]
            took_s = time.perf_counter() - start
            if self.dropped or not crops:
                return items, None, took_s
            # From this thread, not the event loop: batches are collected while others prepare.
            return items, self._batcher.submit(np.concatenate(crops)), took_s

    def _prepare_one(self, upload: Upload) -> Prepared:
        item = self._pipeline.prepare(upload.data)
        item.source, item.origin = upload.name, None
        if item.error is not None:
            item.error = about_upload(item.error, upload)
        elif not self._pipeline.detector.whole_image:
            took_s = self._engine.metrics.detector_s.labels(self._pipeline.detector.name)
            took_s.observe(item.timings_ms["detect"] / 1000)
        return item


def about_upload(error: MienError, upload: Upload) -> MienError:
    """Returns an error of the library with the upload's name; a client has no ImageLimits."""
    hint = "Make it smaller." if "ImageLimits" in error.hint else error.hint
    return error.about(upload.name, hint=hint)


def lower_priority() -> None:
    """Lowers this thread's priority on Linux, so that a full machine still answers 503."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            thread = threading.get_native_id()
            own = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, min(own + _NICE, 19))


def trim_memory() -> None:
    """Gives the memory of freed pictures back to the system, which glibc keeps for later ones."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)
