"""From uploads to results: threads decode and detect, batchers run the networks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from mien.serve.admission import AdmissionQueue
from mien.serve.metrics import Metrics
from mien.serve.models import Models
from mien.serve.work import Result, Work, wait_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from mien.recognizer import EmotionRecognizer
    from mien.serve.config import ServeConfig
    from mien.serve.models import Model
    from mien.serve.uploads import Upload

#: How much the working threads yield to the event loop, as ``nice`` counts it.
_NICE = 5
#: Ready crops that one thread takes at once: each alone is too small to be worth a hand-over.
_CROPS_PER_TASK = 16


class Engine:
    """Everything that one process of the service shares between requests.

    Args:
        config: The settings.
        owns_process: The process is the service's own: working threads get a lower priority.
    """

    def __init__(self, config: ServeConfig, *, owns_process: bool = False) -> None:
        self.config = config
        self._start = lower_priority if owns_process else lambda: None
        self.queue = AdmissionQueue(config.queue_size, config.deadline_s)
        self.metrics = Metrics(self.queue)
        self.models: Models | None = None
        self.problem = "the models are being loaded."
        self._pool = ThreadPoolExecutor(config.cores, "mien-decode", self._start)
        self._preparing = 0
        self._lock = threading.Lock()

    def load(self) -> None:
        """Loads and warms up the models; slow, for a thread.

        Raises:
            MienError: If that fails; :attr:`problem` says it too.
        """
        try:
            self.models = Models(
                self.config,
                more_coming=lambda: self._preparing > 0,
                observe=self.metrics.batch_faces.observe,
                start=self._start,
            )
        except Exception as error:
            self.problem = f"the models could not be loaded: {error}"
            raise

    def close(self) -> None:
        """Ends the threads; what was accepted must be answered by then."""
        self.queue.open = False
        self._pool.shutdown(wait=True, cancel_futures=True)
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
        """Reads the pictures of one request.

        Args:
            uploads: The pictures.
            model: Whose batcher runs the network.
            recognizer: As the request wants it.
            faces: They are ready crops.
            until: When to give up, on the clock of :func:`time.monotonic`.
            gone: Completes when the client is away.

        Raises:
            ProblemError: 504 when the deadline passes.
            GoneError: When the client is away.
        """
        step = _CROPS_PER_TASK if faces else 1
        chunks = [uploads[i : i + step] for i in range(0, len(uploads), step)]
        work = Work(self, model, recognizer, faces=faces)
        reading = asyncio.gather(*(work.read(chunk) for chunk in chunks))
        try:
            parts = await wait_for(reading, until=until, gone=gone, config=self.config)
        finally:
            work.dropped = True
        return [result for part in parts for result in part]

    def submit(self, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        """Runs a function in the pool."""
        return asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

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


def lower_priority() -> None:
    """Lowers this thread's priority, so that the event loop can answer 503 on a full machine.

    Linux keeps a priority for each thread, and new threads inherit it; elsewhere nothing is done.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
