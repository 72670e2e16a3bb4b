"""The clients for threads and for asyncio."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from mien.client.calls import BaseClient, read_answer, read_map, read_results, upload_call

if TYPE_CHECKING:
    from typing import Self

    from mien.client.calls import Picture, Result
    from mien.results import ImageResult


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
