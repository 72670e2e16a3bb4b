"""What goes wrong between client and service, and how long to try again."""

from __future__ import annotations

import random
from typing import Any

from mien.errors import MienError

#: Answers that say "not now": the request was not accepted and may be sent again.
AGAIN = (429, 503)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 10.0


class ServiceError(MienError):
    """The service refused or failed.

    Args:
        status: HTTP status; 0: it could not be reached.
        detail: What the service said.
        request_id: To find the request in the service's log.
    """

    def __init__(self, status: int, detail: str, request_id: str = "") -> None:
        self.status, self.detail, self.request_id = status, detail, request_id
        super().__init__(f"{detail} (HTTP {status})" if status else detail)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status, self.detail, self.request_id)


class Patience:
    """Decides how long to wait before one request is sent again, ``left_s`` in all.

    Pauses double from 0.2 s, with jitter, up to 10 s.
    """

    def __init__(self, url: str, left_s: float) -> None:
        self._url, self._left_s = url, left_s
        self._pause_s = _FIRST_PAUSE_S

    def pause_s(self, min_s: float = 0.0) -> float | None:
        """Returns the next pause, ``min_s`` at least; None where patience is at its end."""
        jitter = 1 + random.random() / 4  # noqa: S311 - no secret
        pause_s = max(min(min_s, _LONGEST_PAUSE_S), self._pause_s) * jitter
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        if pause_s > self._left_s:
            return None
        self._left_s -= pause_s
        return pause_s

    def after_failure(self, error: Exception) -> float:
        """Returns the pause after a connection failed; ServiceError where that was the last."""
        pause_s = self.pause_s()
        if pause_s is None:
            said = f"no service at {self._url}: start it with mien serve ({error!r})."
            raise ServiceError(0, said) from error
        return pause_s
