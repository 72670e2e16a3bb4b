"""The conversation over a WebSocket, whatever carries it."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlencode

from mien.client.patience import Patience, ServiceError
from mien.errors import import_extra
from mien.results import ErrorResult, ImageResult

if TYPE_CHECKING:
    from collections.abc import Mapping

Result: TypeAlias = "ImageResult | ErrorResult"

#: Codes by which a service closes that refuses an option or a frame's size, or that is loading its
#: models, as HTTP says it.
_CLOSED = {1008: 422, 1009: 413, 1013: 503}


def to_result(entry: Mapping[str, Any]) -> Result:
    """Returns the result that JSON holds."""
    kind = ErrorResult if "error" in entry else ImageResult
    return kind.from_dict(entry)


class Exchange:
    """Where frames go, and what their answers mean; the rest is as for :class:`Client`."""

    def __init__(
        self, url: str, headers: Mapping[str, str], options: Mapping[str, Any], *, timeout_s: float
    ) -> None:
        given = {name: value for name, value in options.items() if value is not None}
        #: Arguments of ``connect`` of websockets.
        self.connection: dict[str, Any] = {
            "uri": f"ws{url.removeprefix('http')}/v1/stream?{urlencode(given)}",
            "additional_headers": headers, "open_timeout": timeout_s, "proxy": None,
            "max_size": None, "compression": None,
        }  # fmt: skip
        self._errors = import_extra("websockets.exceptions", "a stream", "client")

    def result(self, message: str | bytes) -> Result:
        """Returns what an answer holds; ServiceError if it is none."""
        answer = json.loads(message)
        if "error" in answer:
            raise ServiceError(answer["error"]["status"], answer["error"]["detail"])
        return to_result(answer["result"])

    def wait_s(self, error: Exception, patience: Patience) -> float:
        """Returns how long to wait after an error; what is final is raised as ServiceError."""
        status, detail, headers = getattr(error, "status", 0), str(error), {}
        if isinstance(error, self._errors.InvalidStatus):
            status, headers = error.response.status_code, error.response.headers
            detail = _detail(error.response)
        elif isinstance(error, self._errors.ConnectionClosed) and error.rcvd is not None:
            status = _CLOSED.get(error.rcvd.code, 0)
            detail = error.rcvd.reason
        elif isinstance(error, TimeoutError):
            raise ServiceError(0, "a frame was not answered in time.") from error
        elif not isinstance(error, (OSError, ServiceError, self._errors.WebSocketException)):
            raise error
        if not status:
            return patience.after_failure(error)
        pause_s = patience.after_answer(status, headers)
        if pause_s is None:
            raise ServiceError(status, detail) from error
        return pause_s


def _detail(answer: Any) -> str:
    """Returns what a refused handshake says; a proxy in between may say nothing."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return str(json.loads(answer.body)["detail"])
    return "the service refuses the stream: see the key and the web origin"
