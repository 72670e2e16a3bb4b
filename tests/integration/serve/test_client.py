"""The client against the real server, and against answers made up."""

from __future__ import annotations

import asyncio
import importlib
import io
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")

from mien import EmotionRecognizer, ErrorResult, ImageResult
from mien.cli.sources import SAMPLE
from mien.client import AsyncClient, Client, ServiceError
from mien.client.pictures import Picture
from mien.images import decode
from support import ROOT
from support.service import Server


def test_client_answers_as_the_library(server: Server, photo: bytes) -> None:
    expected = EmotionRecognizer(detector="haar", labels="hes3").predict(SAMPLE).faces
    with Client(server.url) as client:
        assert client.ready()
        assert client.models()["detectors"] == ["none", "haar"]
        results = client.predict(SAMPLE, photo, b"bad", detector="haar", labels="hes3")
        assert isinstance(results[0], ImageResult)
        assert results[0].faces == expected
        assert results[0].source == "astronaut.jpg"
        assert isinstance(results[2], ErrorResult)
        alone = client.predict(b"bad")
        assert isinstance(alone[0], ErrorResult)
        assert len(client.predict_faces(photo, photo)) == 2


def test_async_client_answers_many_at_once(server: Server, photo: bytes) -> None:
    async def run() -> list[Any]:
        async with AsyncClient(server.url) as client:
            assert await client.ready()
            return await asyncio.gather(*(client.predict(photo) for _ in range(8)))

    answers = asyncio.run(run())
    assert len({repr(answer[0].faces) for answer in answers}) == 1


def test_explain_returns_result_and_png(server: Server) -> None:
    pytest.importorskip("mien.explanation")
    with Client(server.url) as client:
        result, png = client.explain(SAMPLE)
    assert result.faces
    assert png.startswith(b"\x89PNG")


def test_stream_answers_each_frame_and_outlives_the_service(photo: bytes) -> None:
    frames: list[Picture] = [
        photo,
        decode(photo),
        Image.open(io.BytesIO(photo)),
        b"no picture",
        photo,
    ]
    expected = EmotionRecognizer(detector="none", labels="hes3").predict(photo).faces[0]
    server = Server("--detector", "none")
    port, found, servers = str(server.port), list[Any](), list[Server]()
    starter = threading.Thread(target=lambda: servers.append(_again(port)))
    with Client(server.url) as client:
        for result in client.stream(frames, labels="hes3"):
            found.append(result)
            if len(found) == 2:  # it is started anew, while the client waits
                assert server.stop() == 0
                starter.start()
        starter.join()
        with pytest.raises(ServiceError, match="hes4"):
            next(client.stream([photo], labels="hes4"))
    assert servers[0].stop() == 0
    assert [isinstance(result, ErrorResult) for result in found] == [False] * 3 + [True, False]
    assert found[0].faces[0] == found[4].faces[0] == expected
    assert found[1].faces[0].emotion == found[2].faces[0].emotion == expected.emotion


def test_streams_above_the_rate_wait_for_their_turn(photo: bytes) -> None:
    server = Server("--detector", "none", "--rate", "1", "--burst", "1")
    start, answers = time.monotonic(), list[Any]()
    try:
        with Client(server.url) as client:
            for _ in range(3):
                answers += client.stream([photo])
    finally:
        assert server.stop() == 0
    assert all(isinstance(answer, ImageResult) for answer in answers)
    assert len(answers) == 3
    assert time.monotonic() - start > 1.9


def _again(port: str) -> Server:
    time.sleep(1)
    return Server("--detector", "none", "--port", port)


def test_async_stream_takes_frames_as_they_come(server: Server, photo: bytes) -> None:
    async def frames() -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(0.01)
            yield photo

    async def run() -> list[Any]:
        async with AsyncClient(server.url) as client:
            return [result async for result in client.stream(frames(), max_faces=1)]

    assert [len(result.faces) for result in asyncio.run(run())] == [1, 1, 1]


def test_an_app_that_asks_the_service_answers_its_page(
    server: Server, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastapi.testclient import TestClient

    monkeypatch.syspath_prepend(str(ROOT / "examples" / "service"))
    monkeypatch.setenv("MIEN_URL", server.url)
    module = importlib.import_module("app")
    expected = EmotionRecognizer(detector="none").predict(photo).faces[0]
    with TestClient(module.app) as browser:
        assert 'fetch("/faces"' in browser.get("/").text
        (face,) = browser.post("/faces", files={"photo": photo}).json()
        assert (face["emotion"], face["box"]) == (expected.emotion, [0, 0, 512, 512])
        assert browser.post("/faces", files={"photo": b"bad"}).status_code == 422
