"""What both clients share: building requests, reading answers, when to try again."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from mien.errors import ConfigError, InputError, MienError, import_extra
from mien.results import ErrorResult, ImageResult

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

Picture: TypeAlias = "str | os.PathLike[str] | bytes"
Result: TypeAlias = "ImageResult | ErrorResult"

#: Answers that say "not now": the request was not accepted and may be sent again.
_AGAIN = (429, 503)
_FIRST_WAIT_S = 0.2
_LONGEST_WAIT_S = 10.0


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


class BaseClient:
    """Where the service is, how patient to be, and httpx's own client."""

    _kind: ClassVar[str]

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        api_key: str | None = None,
        *,
        timeout_s: float = 30.0,
        retries: int = 4,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"url must start with http:// or https://; got {url!r}.")
        if retries < 0 or not timeout_s > 0:
            raise ConfigError("retries must be at least 0 and timeout_s above 0.")
        self._url, self._retries = url, retries
        self._httpx = import_extra("httpx", "mien.client", "client")
        headers = {} if api_key is None else {"authorization": f"Bearer {api_key}"}
        self._http = getattr(self._httpx, self._kind)(
            base_url=url, headers=headers, timeout=timeout_s, trust_env=False
        )

    def _wait_s(self, attempt: int, answer: Any) -> float | None:
        """Returns how long to wait before the next attempt; None where the answer is final.

        Args:
            attempt: Attempts made so far, from 1; the wait doubles with each, with jitter.
            answer: httpx's response, or the error that it raised; what the service demands in
                ``retry-after`` is never undercut.

        Raises:
            ServiceError: If the service cannot be reached, or the connection failed.
        """
        last, demanded = attempt > self._retries, ""
        if isinstance(answer, Exception):
            if not isinstance(answer, self._httpx.ConnectError):
                raise ServiceError(0, f"the connection failed: {answer!r}.") from answer
            if last:
                said = f"no service at {self._url}: start it with mien serve."
                raise ServiceError(0, said) from answer
        elif last or answer.status_code not in _AGAIN:
            return None
        else:
            demanded = answer.headers.get("retry-after", "")
        backoff: float = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** (attempt - 1))
        least = float(demanded) if demanded.isdigit() else 0.0
        jitter = 1 + random.random() / 4  # noqa: S311 - no secret
        return max(min(least, _LONGEST_WAIT_S), backoff) * jitter


def upload_call(path: str, pictures: Sequence[Picture], **options: Any) -> dict[str, Any]:
    """Returns the request that sends pictures.

    Raises:
        InputError: If a file cannot be read, or there is none.
    """
    if not pictures:
        raise InputError("no pictures: give at least one path or the bytes of one.")
    files = [("images", _file(picture, index)) for index, picture in enumerate(pictures)]
    params = {name: value for name, value in options.items() if value is not None}
    return {"method": "POST", "url": path, "files": files, "params": params}


def _file(picture: Picture, index: int) -> tuple[str, bytes]:
    if isinstance(picture, bytes):
        return f"image-{index + 1}", picture
    path = Path(picture)
    try:
        return path.name, path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", subject=path) from error


def read_answer(response: Any) -> dict[str, Any]:
    """Returns the JSON of a good answer.

    Raises:
        ServiceError: If it is not good.
    """
    if response.status_code != 200:
        raise _refusal(response)
    return _body(response)


def _body(response: Any) -> dict[str, Any]:
    try:
        value = json.loads(response.content)
    except ValueError:
        value = {}
    return value if isinstance(value, dict) else {}


def _refusal(response: Any) -> ServiceError:
    problem, status = _body(response), response.status_code
    detail = str(problem.get("detail") or f"the service answered {status}")
    return ServiceError(status, detail, str(problem.get("request_id", "")))


def read_results(response: Any) -> list[Result]:
    """Returns one result per picture; one that could not be read is an ErrorResult.

    Raises:
        ServiceError: If the service refused, for another reason than unreadable pictures.
    """
    entries = _body(response).get("results") if response.status_code in (200, 422) else None
    if not entries:
        raise _refusal(response)
    return [
        ErrorResult.from_dict(entry) if "error" in entry else ImageResult.from_dict(entry)
        for entry in entries
    ]


def read_map(response: Any) -> tuple[ImageResult, bytes]:
    """Returns a picture's result and its map as PNG.

    Raises:
        ServiceError: If the service refused.
    """
    if response.status_code != 200:
        raise _refusal(response)
    return ImageResult.from_json(response.headers["x-mien-result"]), response.content
