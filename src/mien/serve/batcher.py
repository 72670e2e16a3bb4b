"""Dynamic batching: crops of many requests go through the network in one run."""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from mien.arrays import F32, U8

#: Logits float32 (N, K), and the seconds of the run that these N crops account for.
Answer: TypeAlias = "tuple[F32, float]"
_Entry: TypeAlias = "tuple[U8, Future[Answer], float]"


class Run(NamedTuple):
    """A run of the network: its faces, its seconds, and how long each submission had waited."""

    faces: int
    took_s: float
    waited_s: list[float]


class Batcher:
    """Owns one network, uint8 (N, S, S, C) to logits (N, K), and the thread that runs it.

    It takes what waits, up to ``batch_size`` faces; one larger submission is still taken whole.
    While ``more_coming`` is true, because other requests are being decoded, it waits for them,
    ``wait_s`` at most; an idle service answers without waiting. ``observe`` gets each run;
    ``start`` is called first in the thread.
    """

    def __init__(
        self,
        run: Callable[[U8], F32],
        *,
        batch_size: int,
        wait_s: float,
        more_coming: Callable[[], bool] = lambda: True,
        observe: Callable[[Run], None] = lambda run: None,  # noqa: ARG005
        start: Callable[[], None] = lambda: None,
    ) -> None:
        self._run, self._start, self._observe = run, start, observe
        self._batch_size, self._wait_s = batch_size, wait_s
        self._more_coming = more_coming
        self._waiting: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._loop, name="mien-batcher", daemon=True)
        self._thread.start()

    def submit(self, crops: U8) -> Future[Answer]:
        """Queues crops (N, S, S, C) from any thread; one cancelled before its turn costs no run."""
        future: Future[Answer] = Future()
        self._waiting.put((crops, future, time.perf_counter()))
        return future

    def close(self) -> None:
        """Finishes what waits, then ends the thread."""
        self._waiting.put(None)
        self._thread.join()

    def _loop(self) -> None:
        self._start()
        open_ = True
        while open_ and (entry := self._waiting.get()) is not None:
            entries, open_ = self._collect(entry)
            self._answer([item for item in entries if item[1].set_running_or_notify_cancel()])

    def _collect(self, first: _Entry) -> tuple[list[_Entry], bool]:
        entries, faces = [first], len(first[0])
        until = time.monotonic() + self._wait_s
        while faces < self._batch_size:
            wait = until - time.monotonic()
            try:
                if wait > 0 and self._more_coming():
                    entry = self._waiting.get(timeout=wait)
                else:
                    entry = self._waiting.get_nowait()
            except queue.Empty:
                break
            if entry is None:
                return entries, False
            entries.append(entry)
            faces += len(entry[0])
        return entries, True

    def _answer(self, entries: list[_Entry]) -> None:
        if not entries:
            return
        start = time.perf_counter()
        try:
            logits = self._run(np.concatenate([crops for crops, *_ in entries]))
        except Exception as error:  # noqa: BLE001 - it reaches whoever waits, as an exception
            if len(entries) > 1:  # one request's crops must not fail another's
                for entry in entries:
                    self._answer([entry])
            else:
                entries[0][1].set_exception(error)
            return
        took_s = time.perf_counter() - start
        self._observe(Run(len(logits), took_s, [start - since for *_, since in entries]))
        per_face_s, first = took_s / len(logits), 0
        for crops, future, _ in entries:
            future.set_result((logits[first : first + len(crops)], per_face_s * len(crops)))
            first += len(crops)
