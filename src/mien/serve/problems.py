"""What a client is told when something is wrong: problem JSON (RFC 9457), never a trace."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.responses import Response

PROBLEM_JSON = "application/problem+json"
#: What the metrics call a refusal, where it does not say it itself.
_REASONS = {
    401: "key", 403: "origin", 404: "path", 405: "method", 408: "slow_body", 413: "size",
    415: "type", 422: "unusable", 429: "rate", 500: "fault", 503: "queue", 504: "deadline",
}  # fmt: skip


class ProblemError(Exception):
    """An answer that is not a result: an HTTP status, and what went wrong and what to do instead.

    ``unread`` says that the request's body is still on its way; ``reason`` is a word for the
    metrics; ``more`` are members of the answer.
    """

    def __init__(
        self, status: int, detail: str, *, headers: dict[str, str] | None = None,
        unread: bool = False, reason: str = "", **more: Any,
    ) -> None:  # fmt: skip
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers or {}
        self.unread, self.more = unread, more
        self.reason = reason or _REASONS.get(status, "other")

    def response(self, request_id: str) -> Response:
        """Returns the answer."""
        title = HTTPStatus(self.status).phrase
        content = {"type": "about:blank", "title": title, "status": self.status}
        content |= {"detail": self.detail, "request_id": request_id, **self.more}
        return JSONResponse(content, self.status, self.headers, PROBLEM_JSON)


def busy(detail: str, retry_after_s: float = 1.0, *, reason: str = "") -> ProblemError:
    """Returns the deliberate 503: not accepted, nothing was done, come back."""
    seconds = str(max(1, round(retry_after_s)))
    return ProblemError(503, detail, headers={"retry-after": seconds}, reason=reason)


class GoneError(Exception):
    """The client went away: there is nobody to answer."""
