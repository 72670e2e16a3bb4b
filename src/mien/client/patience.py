"""What goes wrong between client and service, and how long to try again."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from mien.errors import MienError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Answers that say "not now": the request was not accepted and may be sent again.
AGAIN = (429, 503)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 10.0
#: How long a service is waited for that never answered.
_NEVER_MET_S = 5.0


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


class Service:
    """Where the service is, whether it ever answered, and how long it is waited for.

    One that never answered is waited for 5 s at most: nobody may have started it.
    """

    def __init__(self, url: str, patience_s: float) -> None:
        self.url, self._patience_s = url, patience_s
        self.met = False

    @property
    def patience_s(self) -> float:
        """Seconds for one request."""
        return self._patience_s if self.met else min(_NEVER_MET_S, self._patience_s)


class Patience:
    """Decides how long to wait before one request is sent again.

    Pauses double from 0.2 s, with jitter, up to 10 s.
    """

    def __init__(self, service: Service) -> None:
        self._service, self._spent_s = service, 0.0
        self._pause_s = _FIRST_PAUSE_S

    def pause_s(self, min_s: float = 0.0) -> float | None:
        """Returns the next pause, ``min_s`` at least; None where patience is at its end."""
        jitter = 1 + random.random() / 4  # noqa: S311 - no secret
        pause_s = max(min(min_s, _LONGEST_PAUSE_S), self._pause_s) * jitter
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        if self._spent_s + pause_s > self._service.patience_s:
            return None
        self._spent_s += pause_s
        return pause_s

    def after_answer(self, status: int, headers: Mapping[str, str]) -> float | None:
        """Returns the pause after an answer, by its ``Retry-After``; None where it is final."""
        self._service.met = True
        if status not in AGAIN:
            return None
        demanded = headers.get("retry-after", "")
        return self.pause_s(float(demanded) if demanded.isdigit() else 0.0)

    def after_failure(self, error: Exception) -> float:
        """Returns the pause after a connection failed; ServiceError where that was the last."""
        pause_s = self.pause_s()
        if pause_s is None:
            said = f"no service at {self._service.url}: start it with mien serve ({error!r})."
            raise ServiceError(0, said) from error
        return pause_s
