"""A full queue, a deadline, and clients that leave, with a detector that takes its time."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")

from mien.detectors import get_detector
from mien.images import encode
from mien.serve import ServeConfig, create_app
from mien.serve.answers import Reading, read_uploads
from mien.serve.engine import trim_memory
from mien.serve.schemas import Options
from mien.serve.uploads import Upload
from support.images import noise

PICTURE = encode(noise(48))


class SlowDetector:
    """Holds every picture until it may go on."""

    def __init__(self) -> None:
        self._whole = get_detector("none")
        self.name, self.framing = "slow", self._whole.framing
        self.go = threading.Event()
        self.seen = 0

    def detect(self, image_rgb: Any, **options: Any) -> Any:
        self.seen += 1
        assert self.go.wait(20)
        return self._whole.detect(image_rgb)


@asynccontextmanager
async def _service(
    *, owns_process: bool = False, **settings: Any
) -> AsyncIterator[tuple[Any, Any, SlowDetector]]:
    config = ServeConfig(detector=("none",), decoders=1, **settings)
    app = create_app(config, owns_process=owns_process)
    engine, slow = app.state.engine, SlowDetector()
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://mien") as client:
            while not engine.queue.open:
                await asyncio.sleep(0.01)
            engine.models.detectors["none"] = slow
            try:
                yield client, engine, slow
            finally:
                slow.go.set()


def _send(client: Any, count: int = 1) -> asyncio.Task[Any]:
    files = [("images", ("a.png", PICTURE))] * count
    return asyncio.create_task(client.post("/v1/predict", files=files))


async def _until(condition: Any) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


def test_full_queue_says_503_at_once_and_recovers() -> None:
    async def run() -> None:
        async with _service(queue_size=3, max_images=8) as (client, engine, slow):
            accepted = [_send(client), _send(client, 2)]
            await _until(lambda: engine.queue.pictures == 3)
            start = time.monotonic()
            refused = await _send(client)
            assert time.monotonic() - start < 0.1
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) >= 1
            slow.go.set()
            assert [(await task).status_code for task in accepted] == [200, 200]
            assert (await _send(client, 4)).status_code == 503  # never fits
            assert (await _send(client, 3)).status_code == 200
            assert engine.queue.pictures == 0

    asyncio.run(run())


def test_deadline_is_504_and_frees_what_waits() -> None:
    async def run() -> None:
        async with _service(deadline_s=0.2) as (client, engine, slow):
            tasks = [_send(client) for _ in range(5)]
            answers = [await task for task in tasks]
            assert {answer.status_code for answer in answers} == {504}
            assert engine.queue.pictures == 0
            slow.go.set()
            assert (await _send(client)).status_code == 200
            assert slow.seen == 2  # the four that waited were never looked at

    asyncio.run(run())


def test_client_that_leaves_frees_its_work() -> None:
    async def run() -> None:
        app = create_app(ServeConfig(detector=("none",), decoders=1))
        engine, slow = app.state.engine, SlowDetector()
        async with app.router.lifespan_context(app):
            while not engine.queue.open:
                await asyncio.sleep(0.01)
            engine.models.detectors["none"] = slow
            calls = [_Vanishing() for _ in range(4)]
            tasks = [asyncio.create_task(call.run(app)) for call in calls]
            await _until(lambda: slow.seen == 1 and engine.queue.pictures == 4)
            for call in calls:
                call.leave.set()
            await asyncio.gather(*tasks)
            assert engine.queue.pictures == 0
            slow.go.set()
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://mien") as client:
                assert (await _send(client)).status_code == 200
            assert slow.seen == 2  # three of the four were dropped before their turn

    asyncio.run(run())


def test_stream_that_is_left_frees_its_work_and_says_nothing() -> None:
    said: list[dict[str, Any]] = []

    async def run() -> None:
        async with _service() as (_, engine, slow):
            asyncio.get_running_loop().set_exception_handler(lambda _, what: said.append(what))
            model, recognizer = engine.models.choose(Options.model_validate({}))
            how = Reading(model, recognizer)
            streams = [
                asyncio.create_task(read_uploads(engine, [Upload("a", PICTURE)], how))
                for _ in range(3)
            ]
            await _until(lambda: slow.seen == 1 and engine.queue.pictures == 3)
            for stream in streams:
                stream.cancel()
            await asyncio.gather(*streams, return_exceptions=True)
            assert engine.queue.pictures == 0
            slow.go.set()
        gc.collect()  # what nobody fetched is told when it is thrown away
        await asyncio.sleep(0)
        assert slow.seen == 1  # two were dropped before their turn

    asyncio.run(run())
    assert said == []


def test_freed_memory_is_given_back_while_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[bool] = []
    monkeypatch.setattr("mien.serve.app._TRIM_S", 0.005)
    monkeypatch.setattr("mien.serve.app.trim_memory", lambda: trimmed.append(True))
    trim_memory()  # the real one: on this system there may be nothing to do

    async def run() -> None:
        async with _service(owns_process=True) as (client, engine, slow):
            await _until(lambda: len(trimmed) > 1)
            sent = _send(client)
            await _until(lambda: engine.queue.pictures == 1)
            await asyncio.sleep(0.02)
            trimmed.clear()
            await asyncio.sleep(0.05)
            assert trimmed == []
            slow.go.set()
            assert (await sent).status_code == 200
            await _until(lambda: len(trimmed) > 1)

    asyncio.run(run())


def test_stalled_uploads_keep_nobody_else_out() -> None:
    async def run() -> None:
        async with _service(queue_size=2, max_uploads=3) as (client, engine, slow):
            slow.go.set()
            calls = [_Vanishing(whole=False, address="10.0.0.9") for _ in range(6)]
            tasks = [asyncio.create_task(call.run(client._transport.app)) for call in calls]
            await _until(lambda: engine.bodies.bytes > 0)
            assert engine.queue.pictures == 0  # a picture counts once it is there
            assert (await _send(client)).status_code == 200
            for call in calls:
                call.leave.set()
            await asyncio.gather(*tasks)
            assert engine.bodies.bytes == 0

    asyncio.run(run())


class _Vanishing:
    """An ASGI client that sends a request, or half of it, and then goes away."""

    def __init__(self, *, whole: bool = True, address: str = "127.0.0.1") -> None:
        self.leave = asyncio.Event()
        self._whole, self._address = whole, address
        request = httpx.Request("POST", "http://mien/v1/predict", files={"images": PICTURE})
        self._body = request.read()
        self._sent = False
        self._headers = [(name.lower(), value) for name, value in request.headers.raw]

    async def run(self, app: Any) -> None:
        scope = {
            "type": "http", "method": "POST", "path": "/v1/predict", "raw_path": b"/v1/predict",
            "query_string": b"", "headers": self._headers, "scheme": "http", "root_path": "",
            "http_version": "1.1", "client": (self._address, 1), "server": ("mien", 80),
            "asgi": {"version": "3.0"}, "state": {},
        }  # fmt: skip
        await app(scope, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        if not self._sent:
            self._sent = True
            body = self._body if self._whole else self._body[:100]
            return {"type": "http.request", "body": body, "more_body": not self._whole}
        await self.leave.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        pass
