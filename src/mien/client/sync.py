"""The client for threads."""

from __future__ import annotations

import itertools
import time
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


class Client:
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
        self._http = self._httpx.Client(**self._settings.arguments())

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
        options = {
            "model": model, "labels": labels, "detector": detector,
            "min_face": min_face, "max_faces": max_faces, "prior": prior,
        }  # fmt: skip
        return read_results(self._call(**upload_call("/v1/predict", pictures, options)))

    def predict_faces(
        self, *pictures: Picture, model: str | None = None, labels: str | None = None
    ) -> list[Result]:
        """Reads pictures that show one face each, cropped already; as :meth:`predict`."""
        options = {"model": model, "labels": labels}
        return read_results(self._call(**upload_call("/v1/predict/faces", pictures, options)))

    def explain(
        self, picture: Picture, *, label: str | None = None, model: str | None = None
    ) -> tuple[ImageResult, bytes]:
        """Returns a picture's result, and a PNG of what the model looked at."""
        options = {"label": label, "model": model}
        response = self._call(**upload_call("/v1/explain", [picture], options))
        if response.status_code != 200:
            read_answer(response)
        return ImageResult.from_json(response.headers["x-mien-result"]), response.content

    def models(self) -> dict[str, Any]:
        """Returns the service's models and detectors, the defaults first."""
        response = self._call(method="GET", url="/v1/models")
        return dict(read_answer(response))

    def ready(self) -> bool:
        """Whether the service is up and its models are warm; it does not try twice."""
        try:
            response = self._http.get("/readyz")
        except self._httpx.TransportError:
            return False
        return bool(response.status_code == 200)

    def _call(self, **request: Any) -> Any:
        for attempt in itertools.count(1):
            try:
                answer = self._http.request(**request)
            except self._httpx.HTTPError as error:
                answer = error
            wait_s = self._settings.next_wait_s(attempt, answer)
            if wait_s is None:
                return answer
            time.sleep(wait_s)
        raise AssertionError("unreachable")  # pragma: no cover
