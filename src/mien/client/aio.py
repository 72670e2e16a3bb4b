"""The client for asyncio."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

from mien.client.calls import (
    Picture,
    Result,
    Settings,
    load_httpx,
    read_answer,
    read_results,
    upload_call,
)
from mien.results import ImageResult

if TYPE_CHECKING:
    from typing import Self


class AsyncClient:
    """Calls the service from asyncio; as :class:`mien.client.Client`, with ``await``.

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

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        api_key: str | None = None,
        *,
        timeout_s: float = 30.0,
        retries: int = 4,
    ) -> None:
        self._settings = Settings(url, api_key, timeout_s, retries)
        self._httpx = load_httpx()
        self._http = self._httpx.AsyncClient(**self._settings.arguments())

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
        options = {
            "model": model, "labels": labels, "detector": detector,
            "min_face": min_face, "max_faces": max_faces, "prior": prior,
        }  # fmt: skip
        return read_results(await self._call(**upload_call("/v1/predict", pictures, options)))

    async def predict_faces(
        self, *pictures: Picture, model: str | None = None, labels: str | None = None
    ) -> list[Result]:
        """Reads pictures that show one face each, cropped already; as :meth:`predict`."""
        options = {"model": model, "labels": labels}
        return read_results(await self._call(**upload_call("/v1/predict/faces", pictures, options)))

    async def explain(
        self, picture: Picture, *, label: str | None = None, model: str | None = None
    ) -> tuple[ImageResult, bytes]:
        """Returns a picture's result, and a PNG of what the model looked at."""
        options = {"label": label, "model": model}
        response = await self._call(**upload_call("/v1/explain", [picture], options))
        if response.status_code != 200:
            read_answer(response)
        return ImageResult.from_json(response.headers["x-mien-result"]), response.content

    async def models(self) -> dict[str, Any]:
        """Returns the service's models and detectors, the defaults first."""
        response = await self._call(method="GET", url="/v1/models")
        return dict(read_answer(response))

    async def ready(self) -> bool:
        """Whether the service is up and its models are warm; it does not try twice."""
        try:
            response = await self._http.get("/readyz")
        except self._httpx.TransportError:
            return False
        return bool(response.status_code == 200)

    async def _call(self, **request: Any) -> Any:
        for attempt in itertools.count(1):
            try:
                answer = await self._http.request(**request)
            except self._httpx.HTTPError as error:
                answer = error
            wait_s = self._settings.next_wait_s(attempt, answer)
            if wait_s is None:
                return answer
            await asyncio.sleep(wait_s)
        raise AssertionError("unreachable")  # pragma: no cover
