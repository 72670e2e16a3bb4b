"""From uploads to results: threads decode and detect, batchers run the networks."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any

from mien.serve.gate import Gate
from mien.serve.metrics import Metrics
from mien.serve.models import Models
from mien.serve.pool import open_pool, step_back
from mien.serve.work import Result, Work, wait_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from mien.recognizer import EmotionRecognizer
    from mien.serve.config import ServeConfig
    from mien.serve.models import Model
    from mien.serve.uploads import Upload

#: Ready crops that one thread takes at once: each alone is too small to be worth a hand-over.
_CROPS_A_TASK = 16


class Engine:
    """Everything that one process of the service shares between requests."""

    def __init__(self, config: ServeConfig) -> None:
        self.config = config
        self.gate = Gate(config.queue_size, config.deadline_s)
        self.metrics = Metrics(self.gate)
        self.models: Models | None = None
        self.problem = "the models are being loaded."
        self._pool = open_pool(config.cores)
        self._preparing = 0
        self._lock = threading.Lock()

    def load(self) -> None:
        """Loads and warms up the models; slow, for a thread.

        Raises:
            MienError: If that fails; :attr:`problem` says it too.
        """
        step_back()
        try:
            self.models = Models(
                self.config,
                more_coming=lambda: self._preparing > 0,
                observe=self.metrics.batch_faces.observe,
            )
        except Exception as error:
            self.problem = f"the models could not be loaded: {error}"
            raise

    def close(self) -> None:
        """Ends the threads; what was accepted must be answered by then."""
        self.gate.open = False
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
        step = _CROPS_A_TASK if faces else 1
        chunks = [uploads[i : i + step] for i in range(0, len(uploads), step)]
        work = Work(self, model, recognizer, faces=faces, until=until, count=len(chunks))
        for index, chunk in enumerate(chunks):
            self.submit(work.prepare, index, chunk)
        try:
            parts = await wait_for(work.finished, until=until, gone=gone, config=self.config)
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
