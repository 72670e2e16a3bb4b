"""Admission: a bounded queue that says no at once, and bounds on bodies that are on their way."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from mien.serve.problems import ProblemError, busy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

#: Share of the deadline that the work in front of a new request may fill.
_FILL = 0.4
#: Weight of the newest measurement in the running mean of a picture's cost, and its highest
#: ratio to the mean.
_NEW, _MAX_STEP = 0.2, 4.0
#: How long a client's upload waits for its earlier ones: a burst arrives within it.
_PLACE_S = 1.0


class AdmissionQueue:
    """Counts what was accepted and estimates how long it will take.

    A request is accepted while there is room for its pictures in the queue and the work in front
    of it fills less than 0.4 of the deadline (from accepted to answered), by the running mean of
    what a picture of its kind costs. Only the event loop calls it.
    """

    def __init__(self, capacity: int, deadline_s: float) -> None:
        self.capacity = capacity
        self.deadline_s = deadline_s
        self.pictures = 0
        self.open = False
        self.cost_s: dict[str, float] = {}
        self._load: dict[str, int] = {}

    @property
    def backlog_s(self) -> float:
        """Seconds that the accepted work will take."""
        return sum(self.cost_s.get(kind, 0.0) * count for kind, count in self._load.items())

    def refusal(self, pictures: int = 1) -> ProblemError | None:
        """Returns the 503 for so many pictures more, or None where they may come in."""
        if not self.open:
            return busy("the service is starting or stopping: try again soon.", reason="loading")
        backlog_s = self.backlog_s
        if self.pictures + pictures > self.capacity or (
            self.pictures and backlog_s > _FILL * self.deadline_s
        ):
            return busy("the queue is full: nothing was done, try again later.", backlog_s / 2)
        return None

    @contextmanager
    def admit(self, kind: str, pictures: int = 1) -> Iterator[None]:
        """Lets a request in with so many pictures, which are there; ProblemError 503 if full."""
        if refusal := self.refusal(pictures):
            raise refusal
        self._add(kind, pictures)
        try:
            yield
        finally:
            self._add(kind, -pictures)

    def _add(self, kind: str, pictures: int) -> None:
        self.pictures += pictures
        self._load[kind] = self._load.get(kind, 0) + pictures

    def learn(self, kind: str, cost_s: float) -> None:
        """Notes what one picture took, in seconds of the whole machine.

        One that was held up for seconds, on a machine that others use too, says little of the next:
        it counts as four times the mean at most.
        """
        known = self.cost_s.get(kind) or cost_s
        self.cost_s[kind] = known + _NEW * (min(cost_s, _MAX_STEP * known) - known)


class OpenBodies:
    """Bounds the bodies that are on their way: ``per_client``, and ``max_bytes`` in memory of all.

    A stalled upload takes a place of its own client's and none in the queue, so it keeps nobody
    else out. Only the event loop calls it.
    """

    def __init__(self, per_client: int, max_bytes: int) -> None:
        self.per_client, self.max_bytes = per_client, max_bytes
        self.bytes = 0
        self._places: dict[str, asyncio.Semaphore] = {}
        self._users: Counter[str] = Counter()

    @asynccontextmanager
    async def open(self, client: str) -> AsyncIterator[Callable[[int], None]]:
        """Waits a second for a place of the client's; the function yielded takes so many bytes.

        Raises ProblemError 429 where all the client's places stay taken; the function raises 503
        where there is no more memory.
        """
        places = self._places.setdefault(client, asyncio.Semaphore(self.per_client))
        self._users[client] += 1
        held, taken = 0, False

        def grow(size: int) -> None:
            nonlocal held
            if self.bytes + size > self.max_bytes:
                detail = "too much is being uploaded: nothing was done, try again later."
                raise busy(detail, reason="memory")
            held += size
            self.bytes += size

        try:
            taken = await _take(places)
            if not taken:
                detail = f"more than {self.per_client} uploads at once: finish some first."
                headers = {"retry-after": "1", "connection": "close"}
                raise ProblemError(429, detail, headers=headers, unread=True, reason="uploads")
            yield grow
        finally:
            self.bytes -= held
            if taken:
                places.release()
            self._users[client] -= 1
            if not self._users[client]:
                del self._users[client], self._places[client]


async def _take(places: asyncio.Semaphore) -> bool:
    try:
        async with asyncio.timeout(_PLACE_S):
            return await places.acquire()
    except TimeoutError:
        return False
