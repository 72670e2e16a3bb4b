"""The client against the real server, and against answers made up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")

from mien import EmotionRecognizer, ErrorResult, ImageResult
from mien.cli.sources import SAMPLE
from mien.client import AsyncClient, Client

if TYPE_CHECKING:
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
