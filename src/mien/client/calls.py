"""What both clients share: building requests, reading answers, when to try again."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from mien.errors import ConfigError, InputError, MienError, MissingExtraError
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


@dataclass(frozen=True)
class Settings:
    """Where the service is and how patient to be.

    Args:
        url: For example ``http://127.0.0.1:8000``.
        api_key: The key, or None.
        timeout_s: Longest wait for one answer.
        retries: How often to try again after 429, 503, or a connection that was refused.

    Raises:
        ConfigError: If a value is impossible.
    """

    url: str
    api_key: str | None = None
    timeout_s: float = 30.0
    retries: int = 4

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ConfigError(f"url must start with http:// or https://; got {self.url!r}.")
        if self.retries < 0 or not self.timeout_s > 0:
            raise ConfigError("retries must be at least 0 and timeout_s above 0.")

    def arguments(self) -> dict[str, Any]:
        """Returns what httpx's clients take."""
        headers = {} if self.api_key is None else {"authorization": f"Bearer {self.api_key}"}
        return {
            "base_url": self.url,
            "headers": headers,
            "timeout": self.timeout_s,
            "trust_env": False,
        }

    def wait_s(self, attempt: int, retry_after: str | None = None) -> float:
        """Returns how long to wait before the next attempt: doubling, with jitter.

        Args:
            attempt: Attempts made so far, from 1.
            retry_after: What the service demands, in seconds; never undercut.
        """
        backoff: float = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** (attempt - 1))
        demanded = float(retry_after) if retry_after and retry_after.isdigit() else 0.0
        jitter = 1 + random.random() / 4  # noqa: S311 - no secret
        return max(min(demanded, _LONGEST_WAIT_S), backoff) * jitter

    def next_wait_s(self, attempt: int, answer: Any) -> float | None:
        """Returns how long to wait before the next attempt; None where the answer is final.

        Args:
            attempt: Attempts made so far, from 1.
            answer: httpx's response, or the error that it raised.

        Raises:
            ServiceError: If the service cannot be reached, or the connection failed.
        """
        last = attempt > self.retries
        if isinstance(answer, Exception):
            if not isinstance(answer, load_httpx().ConnectError):
                raise ServiceError(0, f"the connection failed: {answer!r}.") from answer
            if last:
                raise ServiceError(
                    0, f"no service at {self.url}: start it with mien serve."
                ) from answer
            return self.wait_s(attempt)
        if last or answer.status_code not in _AGAIN:
            return None
        return self.wait_s(attempt, answer.headers.get("retry-after"))


def load_httpx() -> Any:
    """Imports httpx.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        import httpx
    except ImportError as error:
        raise MissingExtraError("mien.client", "client", "httpx") from error
    return httpx


def upload_call(path: str, pictures: Sequence[Picture], options: dict[str, Any]) -> dict[str, Any]:
    """Returns the request that sends pictures.

    Raises:
        InputError: If a file cannot be read, or there is none.
    """
    if not pictures:
        raise InputError("no pictures: give at least one path or the bytes of one.")
    files = [("images", _file(picture, index)) for index, picture in enumerate(pictures)]
    params = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in options.items()
        if value is not None
    }
    return {"method": "POST", "url": path, "files": files, "params": params}


def _file(picture: Picture, index: int) -> tuple[str, bytes]:
    if isinstance(picture, bytes):
        return f"image-{index + 1}", picture
    path = Path(picture)
    try:
        return path.name, path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", subject=path) from error


def read_answer(response: Any) -> Any:
    """Returns the JSON of a good answer.

    Raises:
        ServiceError: If it is not good.
    """
    try:
        value = json.loads(response.content)
    except ValueError:
        value = {}
    if response.status_code == 200:
        return value
    problem = value if isinstance(value, dict) else {}
    detail = str(problem.get("detail") or f"the service answered {response.status_code}")
    raise ServiceError(response.status_code, detail, str(problem.get("request_id", "")))


def read_results(response: Any) -> list[Result]:
    """Returns one result per picture; one that could not be read is an ErrorResult.

    Raises:
        ServiceError: If the service refused, for another reason than unreadable pictures.
    """
    if response.status_code == 422:
        value = json.loads(response.content)
        entries = value.get("results")
        if not entries:
            read_answer(response)
    else:
        entries = read_answer(response)["results"]
    return [
        ErrorResult.from_dict(entry) if "error" in entry else ImageResult.from_dict(entry)
        for entry in entries
    ]
