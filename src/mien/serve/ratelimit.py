"""A token bucket for each client, in bounded memory."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class RateLimit:
    """Lets each client make ``rate`` requests per second, and ``burst`` at once.

    Args:
        rate: Tokens per second; 0 turns it off.
        burst: Tokens a bucket holds; 0: twice the rate, at least 1.
        most: Clients remembered; the one that was away longest is forgotten first.
        clock: Seconds, monotonic.

    >>> now = [0.0]
    >>> limit = RateLimit(1, 2, clock=lambda: now[0])
    >>> [limit.wait_s("ann") for _ in range(3)], limit.wait_s("bob")
    ([0.0, 0.0, 1.0], 0.0)
    """

    def __init__(
        self,
        rate: float,
        burst: int = 0,
        *,
        most: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rate
        self._burst = float(burst or max(1, math.ceil(2 * rate)))
        self._most = most
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, client: str) -> float:
        """Takes a token; returns 0, or how many seconds to wait for the next one."""
        if not self._rate:
            return 0.0
        now = self._clock()
        tokens, then = self._buckets.pop(client, (self._burst, now))
        tokens = min(self._burst, tokens + (now - then) * self._rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._buckets[client] = (tokens if wait else tokens - 1, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return wait
