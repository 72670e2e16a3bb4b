"""What a client is told when something is wrong: problem JSON (RFC 9457), never a trace."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

PROBLEM_JSON = "application/problem+json"


class ProblemError(Exception):
    """An answer that is not a result.

    Args:
        status: HTTP status.
        detail: What was given, why it cannot work, what to do instead.
        headers: More response headers.
        unread: The request's body is still on its way.
        **more: More members of the body.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        unread: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers or {}
        self.unread, self.more = unread, more

    def body(self, request_id: str) -> bytes:
        """Returns the JSON of the answer."""
        content = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
            **self.more,
        }
        return json.dumps(content).encode()


def busy(detail: str, retry_after_s: float = 1.0) -> ProblemError:
    """Returns the deliberate 503: not accepted, nothing was done, come back."""
    seconds = str(max(1, round(retry_after_s)))
    return ProblemError(503, detail, headers={"retry-after": seconds})


def too_late(deadline_s: float) -> ProblemError:
    """Returns the 504: accepted, but not answered before the deadline."""
    return ProblemError(
        504, f"not answered within {deadline_s:g} s: send fewer or smaller pictures."
    )


class GoneError(Exception):
    """The client went away: there is nobody to answer."""
