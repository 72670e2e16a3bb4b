"""The clients for threads and for asyncio, and what they share."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
import uuid
from collections.abc import AsyncIterable
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

from mien.client.patience import Patience, Service, ServiceError
from mien.client.pictures import named_files, to_bytes
from mien.client.streams import Exchange, Result, to_result
from mien.errors import ConfigError, InputError, import_extra
from mien.results import FaceEmotion, ImageResult

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
    from typing import Self

    from mien.client.pictures import Picture

_T = TypeVar("_T")
#: Seconds from the start of a clip, and the faces there.
ClipFrame: TypeAlias = tuple[float, tuple[FaceEmotion, ...]]
_LOG = logging.getLogger(__name__)
_CLIPS = "/v1/clips"
#: Time between two questions how far a clip is.
_POLL_S = 0.3


class BaseClient:
    """Where the service is, how patient to be, and httpx's own client."""

    _kind: ClassVar[str]

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        api_key: str | None = None,
        *,
        timeout_s: float = 30.0,
        patience_s: float = 60.0,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"url must start with http:// or https://; got {url!r}.")
        if patience_s < 0 or not timeout_s > 0:
            raise ConfigError("patience_s must be at least 0 and timeout_s above 0.")
        self._service, self._timeout_s = Service(url.rstrip("/"), patience_s), timeout_s
        self._httpx = import_extra("httpx", "mien.client", "client")
        self._headers = {} if api_key is None else {"authorization": f"Bearer {api_key}"}
        self._http = getattr(self._httpx, self._kind)(
            base_url=url, headers=self._headers, timeout=timeout_s, trust_env=False
        )

    def _wait_s(self, patience: Patience, answer: Any) -> float | None:
        """Returns the seconds before the next attempt; None where the answer is final.

        ``answer`` is httpx's response, or the error that it raised.
        """
        if isinstance(answer, Exception):
            if isinstance(answer, self._httpx.TimeoutException) and not isinstance(
                answer, self._httpx.ConnectTimeout
            ):
                raise ServiceError(0, f"the connection failed: {answer!r}.") from answer
            return patience.after_failure(answer)
        return patience.after_answer(answer.status_code, answer.headers)


def upload_call(
    path: str, pictures: Sequence[Picture | Iterable[Picture]], **options: Any
) -> dict[str, Any]:
    """Returns the request that sends pictures."""
    files = [("images", file) for file in named_files(pictures)]
    if not files:
        raise InputError("no pictures: give at least one path or the bytes of one.")
    params = {name: value for name, value in options.items() if value is not None}
    return {"method": "POST", "url": path, "files": files, "params": params}


def read_answer(response: Any) -> dict[str, Any]:
    """Returns the JSON of a good answer."""
    if response.status_code not in (200, 202):
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
    return [to_result(entry) for entry in entries]


def read_clip(state: dict[str, Any]) -> list[ClipFrame] | None:
    """Returns the frames of a clip that is done, None before; ServiceError if it failed.

    That the clip is not whole is logged.
    """
    if state["status"] == "failed":
        raise ServiceError(422, state["error"])
    if state["status"] != "done":
        return None
    if state.get("complete") is False:
        _LOG.warning("note: the clip is not whole: it breaks off or is damaged; the rest was read")
    return [
        (entry["time_s"], tuple(map(FaceEmotion.from_dict, entry["faces"])))
        for entry in state["frames"]
    ]


def clip_call(clip: Picture, **options: Any) -> dict[str, Any]:
    """Returns the request that posts a clip; one that is sent twice is taken once."""
    params = {name: value for name, value in options.items() if value is not None}
    headers = {"content-type": "application/octet-stream", "idempotency-key": uuid.uuid4().hex}
    call = {"method": "POST", "url": _CLIPS, "params": params, "headers": headers}
    return {**call, "content": to_bytes(clip)}


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
        patience_s: How long to try again, with growing pauses, while the service says 429 or 503
            or cannot be reached, for example since it is started anew; 5 s at most where it never
            answered. To read a picture twice changes nothing, and a clip is taken once.

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
        *pictures: Picture | Iterable[Picture],
        model: str | None = None,
        labels: str | None = None,
        detector: str | None = None,
        min_face: int | None = None,
        max_faces: int | None = None,
        prior: str | None = None,
    ) -> list[Result]:
        """Finds the faces in each picture and reads their expressions.

        Args:
            *pictures: Paths, bytes of image files, open files, PIL images, arrays RGB (H, W, 3)
                uint8, and lists of them.
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
        self,
        *pictures: Picture | Iterable[Picture],
        model: str | None = None,
        labels: str | None = None,
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

    def stream(self, frames: Iterable[Picture], **options: Any) -> Iterator[Result]:
        """Sends frames over one WebSocket, each when the one before is answered.

        A connection that is lost, or a service that is busy, is waited for as in every call; the
        frame under way is sent again.

        Args:
            frames: As pictures of :meth:`predict`; arrays and PIL images are sent as JPEG, what is
                bytes or a file already stays what it is.
            **options: Those of :meth:`predict`.

        Yields:
            One result per frame, in their order.

        Raises:
            ServiceError: If an option or the key is refused, or the service stays away.
            MissingExtraError: If websockets is not installed.
        """
        connect = import_extra("websockets.sync.client", "Client.stream", "client").connect
        exchange = Exchange(self._service.url, self._headers, options, timeout_s=self._timeout_s)
        with ExitStack() as stack:
            socket: Any = None
            for frame in frames:
                data, patience = to_bytes(frame, suffix=".jpg"), Patience(self._service)
                while True:
                    try:
                        if socket is None:
                            socket = stack.enter_context(connect(**exchange.connection))
                            self._service.met = True
                        socket.send(data)
                        result = exchange.result(socket.recv(self._timeout_s))
                    except Exception as error:  # noqa: BLE001 - the exchange raises what is final
                        wait_s = exchange.wait_s(error, patience)
                        stack.close()
                        socket = None
                    else:
                        break
                    time.sleep(wait_s)
                yield result

    def predict_clip(
        self,
        clip: Picture,
        *,
        progress: Callable[[float, float | None], None] | None = None,
        **options: Any,
    ) -> list[ClipFrame]:
        """Tracks the faces of a clip, which the service reads in the background.

        Args:
            clip: Its path, its bytes, or a file opened in binary mode.
            progress: Is called with the seconds that are read, and those in all (None: not known).
            **options: Those of :meth:`predict`, and ``fps``, how many frames per second are read.

        Returns:
            Seconds and faces of each frame that was read. The service has forgotten them.

        Raises:
            ServiceError: If the clip is refused or cannot be read, or the service failed.
        """
        state = read_answer(self._call(**clip_call(clip, **options)))
        address = f"{_CLIPS}/{state['id']}"
        try:
            while (frames := read_clip(state)) is None:
                time.sleep(_POLL_S)
                state = read_answer(self._call(method="GET", url=address))
                if progress is not None:
                    progress(state["read_s"], state["length_s"])
        finally:
            self._call(method="DELETE", url=address)
        return frames

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

    def _call(self, **request: Any) -> Any:
        patience = Patience(self._service)
        while True:
            try:
                answer = self._http.request(**request)
            except self._httpx.HTTPError as error:
                answer = error
            wait_s = self._wait_s(patience, answer)
            if wait_s is None:
                return answer
            time.sleep(wait_s)


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
        *pictures: Picture | Iterable[Picture],
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
        self,
        *pictures: Picture | Iterable[Picture],
        model: str | None = None,
        labels: str | None = None,
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

    async def stream(
        self, frames: Iterable[Picture] | AsyncIterable[Picture], **options: Any
    ) -> AsyncIterator[Result]:
        """Sends frames over one WebSocket; as :meth:`Client.stream`."""
        connect = import_extra("websockets.asyncio.client", "AsyncClient.stream", "client").connect
        exchange = Exchange(self._service.url, self._headers, options, timeout_s=self._timeout_s)
        async with AsyncExitStack() as stack:
            socket: Any = None
            async for frame in _each(frames):
                data, patience = to_bytes(frame, suffix=".jpg"), Patience(self._service)
                while True:
                    try:
                        if socket is None:
                            socket = await stack.enter_async_context(connect(**exchange.connection))
                            self._service.met = True
                        await socket.send(data)
                        answer = await asyncio.wait_for(socket.recv(), self._timeout_s)
                        result = exchange.result(answer)
                    except Exception as error:  # noqa: BLE001 - the exchange raises what is final
                        wait_s = exchange.wait_s(error, patience)
                        await stack.aclose()
                        socket = None
                    else:
                        break
                    await asyncio.sleep(wait_s)
                yield result

    async def predict_clip(
        self,
        clip: Picture,
        *,
        progress: Callable[[float, float | None], None] | None = None,
        **options: Any,
    ) -> list[ClipFrame]:
        """Tracks the faces of a clip; as :meth:`Client.predict_clip`."""
        state = read_answer(await self._call(**clip_call(clip, **options)))
        address = f"{_CLIPS}/{state['id']}"
        try:
            while (frames := read_clip(state)) is None:
                await asyncio.sleep(_POLL_S)
                state = read_answer(await self._call(method="GET", url=address))
                if progress is not None:
                    progress(state["read_s"], state["length_s"])
        finally:
            await self._call(method="DELETE", url=address)
        return frames

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

    async def _call(self, **request: Any) -> Any:
        patience = Patience(self._service)
        while True:
            try:
                answer = await self._http.request(**request)
            except self._httpx.HTTPError as error:
                answer = error
            wait_s = self._wait_s(patience, answer)
            if wait_s is None:
                return answer
            await asyncio.sleep(wait_s)


async def _each(items: Iterable[_T] | AsyncIterable[_T]) -> AsyncIterator[_T]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
