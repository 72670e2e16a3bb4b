"""Admission: a bounded queue that says no at once."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from mien.serve.problems import ProblemError, busy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Share of the deadline that the work in front of a new request may fill.
_FILL = 0.4
#: Weight of the newest measurement in the running mean of a picture's cost.
_NEW = 0.2


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
            return busy("the service is starting or stopping: try again soon.")
        backlog_s = self.backlog_s
        if self.pictures + pictures > self.capacity or (
            self.pictures and backlog_s > _FILL * self.deadline_s
        ):
            return busy("the queue is full: nothing was done, try again later.", backlog_s / 2)
        return None

    @contextmanager
    def admit(self, kind: str) -> Iterator[Callable[[int], None]]:
        """Lets a request in with one picture; the function yielded takes room for so many more.

        Both raise ProblemError 503 if there is none.
        """
        held = 0

        def grow(pictures: int) -> None:
            nonlocal held
            more = pictures - held
            if more > 0:
                if refusal := self.refusal(more):
                    raise refusal
                held = pictures
                self._add(kind, more)

        grow(1)
        try:
            yield grow
        finally:
            self._add(kind, -held)

    def _add(self, kind: str, pictures: int) -> None:
        self.pictures += pictures
        self._load[kind] = self._load.get(kind, 0) + pictures

    def learn(self, kind: str, cost_s: float) -> None:
        """Notes what one picture took, in seconds of the whole machine."""
        known = self.cost_s.get(kind, cost_s)
        self.cost_s[kind] = known + _NEW * (cost_s - known)
