"""The clients for threads and for asyncio, and what they share."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from mien.errors import ConfigError, InputError, MienError, import_extra
from mien.results import ErrorResult, ImageResult

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from typing import Self

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
        """Returns the seconds before the next attempt; None where the answer is final.

        The wait doubles with each attempt, from 1, with jitter, and never undercuts
        ``retry-after``. ``answer`` is httpx's response, or the error that it raised.
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
    """Returns the request that sends pictures."""
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
    """Returns the JSON of a good answer."""
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
    """Returns one result per picture; one that could not be read is an ErrorResult."""
    entries = _body(response).get("results") if response.status_code in (200, 422) else None
    if not entries:
        raise _refusal(response)
    return [
        ErrorResult.from_dict(entry) if "error" in entry else ImageResult.from_dict(entry)
        for entry in entries
    ]


def read_map(response: Any) -> tuple[ImageResult, bytes]:
    """Returns a picture's result and its map as PNG."""
    result = read_results(response)[0]
    if not isinstance(result, ImageResult):
        raise _refusal(response)
    return result, base64.b64decode(_body(response)["maps"][0])


class Client(BaseClient):
    """Calls the service; any number of threads may share one.

    Args:
        url: Where it is, for example ``http://127.0.0.1:8000``.
        api_key: The key, where one is needed.
        timeout_s: Longest wait for one answer.
        retries: How often to try again, with growing pauses, after 429, 503, or a refused
            connection; such a request was not accepted, so nothing is done twice.

    Raises:
        ConfigError: If a value is impossible.
        MissingExtraError: If httpx is not installed.
    """

    _kind = "Client"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def predict(
        self,
        *pictures: Picture,
        model: str | None = None,
        labels: str | None = None,
        detector: str | None = None,
        min_face: int | None = None,
        max_faces: int | None = None,
        prior: str | None = None,
    ) -> list[Result]:
        """Finds the faces in each picture and reads their expressions.

        Args:
            *pictures: Paths, or the bytes of image files.
            model: A name from :meth:`models`.
            labels: Label schema to answer in.
            detector: A face detector from :meth:`models`.
            min_face: Smallest face, pixels.
            max_faces: Most faces per picture.
            prior: Shares of labels to answer for: natural, balanced, or LABEL=SHARE,….

        Returns:
            One result per picture; an ``ErrorResult`` where it could not be read.

        Raises:
            ServiceError: If the service refused, failed, or cannot be reached.
            InputError: If a file cannot be read.
        """
        call = upload_call(
            "/v1/predict", pictures, model=model, labels=labels, detector=detector,
            min_face=min_face, max_faces=max_faces, prior=prior,
        )  # fmt: skip
        return read_results(self._call(**call))

    def predict_faces(
        self, *pictures: Picture, model: str | None = None, labels: str | None = None
    ) -> list[Result]:
        """Reads pictures that show one face each, cropped already; as :meth:`predict`."""
        call = upload_call("/v1/predict/faces", pictures, model=model, labels=labels)
        return read_results(self._call(**call))

    def explain(
        self, picture: Picture, *, label: str | None = None, model: str | None = None
    ) -> tuple[ImageResult, bytes]:
        """Returns a picture's result, and a PNG of what the model looked at."""
        call = upload_call("/v1/explain", [picture], label=label, model=model)
        return read_map(self._call(**call))

    def models(self) -> dict[str, Any]:
        """Returns the service's models and detectors, the defaults first."""
        return read_answer(self._call(method="GET", url="/v1/models"))

    def ready(self) -> bool:
        """Whether the service is up and its models are warm; it does not try twice."""
        try:
            response = self._http.get("/readyz")
        except self._httpx.TransportError:
            return False
        return bool(response.status_code == 200)

    def _call(self, attempt: int = 1, **request: Any) -> Any:
        try:
            answer = self._http.request(**request)
        except self._httpx.HTTPError as error:
            answer = error
        wait_s = self._wait_s(attempt, answer)
        if wait_s is None:
            return answer
        time.sleep(wait_s)
        return self._call(attempt + 1, **request)


class AsyncClient(BaseClient):
    """Calls the service from asyncio; arguments and methods of :class:`Client`, with ``await``."""

    _kind = "AsyncClient"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *reason: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def predict(
        self,
        *pictures: Picture,
        model: str | None = None,
        labels: str | None = None,
        detector: str | None = None,
        min_face: int | None = None,
        max_faces: int | None = None,
        prior: str | None = None,
    ) -> list[Result]:
        """Finds faces and reads their expressions; as :meth:`Client.predict`."""
        call = upload_call(
            "/v1/predict", pictures, model=model, labels=labels, detector=detector,
            min_face=min_face, max_faces=max_faces, prior=prior,
        )  # fmt: skip
        return read_results(await self._call(**call))

    async def predict_faces(
        self, *pictures: Picture, model: str | None = None, labels: str | None = None
    ) -> list[Result]:
        """Reads pictures that show one face each, cropped already; as :meth:`predict`."""
        call = upload_call("/v1/predict/faces", pictures, model=model, labels=labels)
        return read_results(await self._call(**call))

    async def explain(
        self, picture: Picture, *, label: str | None = None, model: str | None = None
    ) -> tuple[ImageResult, bytes]:
        """Returns a picture's result, and a PNG of what the model looked at."""
        call = upload_call("/v1/explain", [picture], label=label, model=model)
        return read_map(await self._call(**call))

    async def models(self) -> dict[str, Any]:
        """Returns the service's models and detectors, the defaults first."""
        return read_answer(await self._call(method="GET", url="/v1/models"))

    async def ready(self) -> bool:
        """Whether the service is up and its models are warm; it does not try twice."""
        try:
            response = await self._http.get("/readyz")
        except self._httpx.TransportError:
            return False
        return bool(response.status_code == 200)

    async def _call(self, attempt: int = 1, **request: Any) -> Any:
        try:
            answer = await self._http.request(**request)
        except self._httpx.HTTPError as error:
            answer = error
        wait_s = self._wait_s(attempt, answer)
        if wait_s is None:
            return answer
        await asyncio.sleep(wait_s)
        return await self._call(attempt + 1, **request)
