"""Dynamic batching: crops of many requests go through the network in one run."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def _ignore(faces: int) -> None:
    """Observes nothing."""


@dataclass(frozen=True)
class Ticket:
    """Crops that wait for the network.

    Args:
        crops: uint8 (N, S, S, C), N at least 1.
        done: Called once in the batcher's thread with the logits (N, K), or the exception, or
            None where ``wanted`` said no; must not block.
        wanted: Says whether anybody still waits for it.
    """

    crops: NDArray[np.uint8]
    done: Callable[[Any, float], None]
    wanted: Callable[[], bool]


class Batcher:
    """Owns one network and the thread that runs it.

    It takes what waits, up to ``batch_size`` faces. While ``more_coming`` says that other
    requests are being decoded, it waits for them, ``wait_s`` at most; an idle service answers
    without waiting.

    Args:
        run: uint8 (N, S, S, C) to logits float32 (N, K).
        batch_size: Most faces to put together; a larger single ticket is still taken whole.
        wait_s: Longest wait for more.
        more_coming: Whether a wait may bring anything.
        observe: Called with the number of faces of each run.
    """

    def __init__(
        self,
        run: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
        *,
        batch_size: int,
        wait_s: float,
        more_coming: Callable[[], bool] = lambda: True,
        observe: Callable[[int], None] = _ignore,
    ) -> None:
        self._run = run
        self._batch_size = batch_size
        self._wait_s = wait_s
        self._more_coming = more_coming
        self._observe = observe
        self._waiting: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._loop, name="mien-batcher", daemon=True)
        self._thread.start()

    def submit(self, ticket: Ticket) -> None:
        """Queues crops; any thread may call it."""
        self._waiting.put(ticket)

    def close(self) -> None:
        """Finishes what waits, then ends the thread."""
        self._waiting.put(None)
        self._thread.join()

    def _loop(self) -> None:
        from mien.serve.pool import step_back

        step_back()
        open_ = True
        while open_:
            ticket = self._waiting.get()
            if ticket is None:
                break
            tickets, open_ = self._collect(ticket)
            self._answer(tickets)

    def _collect(self, first: Ticket) -> tuple[list[Ticket], bool]:
        tickets, faces = [first], len(first.crops)
        until = time.monotonic() + self._wait_s
        while faces < self._batch_size:
            wait = until - time.monotonic()
            try:
                if wait > 0 and self._more_coming():
                    ticket = self._waiting.get(timeout=wait)
                else:
                    ticket = self._waiting.get_nowait()
            except queue.Empty:
                break
            if ticket is None:
                return tickets, False
            tickets.append(ticket)
            faces += len(ticket.crops)
        return tickets, True

    def _answer(self, tickets: list[Ticket]) -> None:
        wanted = []
        for ticket in tickets:
            if ticket.wanted():
                wanted.append(ticket)
            else:
                ticket.done(None, 0.0)
        if not wanted:
            return
        start = time.perf_counter()
        try:
            logits = self._run(np.concatenate([ticket.crops for ticket in wanted]))
        except Exception as error:  # noqa: BLE001 - it reaches whoever waits, as an exception
            if len(wanted) > 1:  # one request's crops must not fail another's
                for ticket in wanted:
                    self._answer([ticket])
            else:
                wanted[0].done(error, 0.0)
            return
        self._observe(len(logits))
        per_face_s = (time.perf_counter() - start) / len(logits)
        first = 0
        for ticket in wanted:
            count = len(ticket.crops)
            ticket.done(logits[first : first + count], per_face_s * count)
            first += count
