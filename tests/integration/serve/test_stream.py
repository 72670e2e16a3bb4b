"""The WebSocket."""

from __future__ import annotations

import base64
import json
import time

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("websockets")

from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from mien import ImageResult
from mien.images import encode
from support.images import noise

if TYPE_CHECKING:
    from support.service import Server

FRAME = encode(noise(48))


def _url(server: Server, query: str = "") -> str:
    return server.url.replace("http", "ws", 1) + "/v1/stream" + query


def test_each_frame_is_answered_when_there_is_time(server: Server) -> None:
    with connect(_url(server, "?labels=hes3"), proxy=None) as stream:
        for number in (1, 2, 3):
            stream.send(FRAME)
            answer = json.loads(stream.recv(10))
            assert (answer["frame"], answer["dropped"]) == (number, 0)
            result = ImageResult.from_dict(answer["result"])
            assert list(result.faces[0].probs) == ["angry", "happy", "sad"]


def test_stream_takes_every_option_of_a_photo(server: Server, photo: bytes) -> None:
    query = "?detector=haar&top_k=2&include_map=true&label=fear&prior=fear%3D0.9&max_faces=1"
    with connect(_url(server, query), proxy=None) as stream:
        stream.send(photo)
        answer = json.loads(stream.recv(20))
    assert len(answer["result"]["faces"][0]["probs"]) == 2
    assert answer["result"]["prior"]["fear"] == pytest.approx(0.9)
    assert base64.b64decode(answer["map"]).startswith(b"\x89PNG")


def test_latest_frame_wins_under_pressure(server: Server, photo: bytes) -> None:
    with connect(_url(server, "?detector=haar"), proxy=None) as stream:
        for _ in range(30):
            stream.send(photo)
        answers = [json.loads(stream.recv(20))]
        while answers[-1]["frame"] < 30:
            answers.append(json.loads(stream.recv(20)))
    assert len(answers) < 30
    assert answers[-1]["frame"] == 30  # the newest is never lost
    assert answers[-1]["dropped"] == 30 - len(answers)


def test_stream_outlives_the_time_for_headers(server: Server) -> None:
    with connect(_url(server), proxy=None) as stream:
        time.sleep(1.3)  # headers may take 1 s here
        stream.send(FRAME)
        assert json.loads(stream.recv(10))["result"]["faces"]


def test_bad_frame_is_an_answer_and_the_stream_goes_on(server: Server) -> None:
    with connect(_url(server), proxy=None) as stream:
        stream.send(b"no picture")
        assert json.loads(stream.recv(10))["result"]["kind"] == "InputError"
        stream.send(FRAME)
        assert json.loads(stream.recv(10))["result"]["faces"]


@pytest.mark.parametrize("query", ["?labels=hes4", "?min_face=no", "?unknown=1", "?label=joyy"])
def test_wrong_option_closes_the_stream(server: Server, query: str) -> None:
    with connect(_url(server, query), proxy=None) as stream, pytest.raises(ConnectionClosed) as end:
        stream.recv(10)
    assert end.value.rcvd is not None
    assert end.value.rcvd.code == 1008


def test_text_and_oversized_frames_close_the_stream(server: Server) -> None:
    for message, code in (("text", 1003), (bytes(2_100_000), 1009)):
        with connect(_url(server), proxy=None) as stream:
            stream.send(message)
            with pytest.raises(ConnectionClosed) as end:
                stream.recv(10)
            assert end.value.rcvd is not None
            assert end.value.rcvd.code == code


def test_other_web_sites_may_not_connect(server: Server) -> None:
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(_url(server), proxy=None, origin=Origin("https://evil.example")),
    ):
        pass
    answer = refused.value.response
    assert answer.status_code == 403
    assert "origin" in json.loads(answer.body or b"")["detail"]
    with connect(_url(server), proxy=None, origin=Origin(server.url)) as stream:
        stream.send(FRAME)
        assert stream.recv(10)
