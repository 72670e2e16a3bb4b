"""The client against the real server, and against answers made up."""

from __future__ import annotations

import io
import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")

from mien.client import Client, ServiceError
from mien.client.patience import Patience, Service
from mien.client.pictures import named_files, to_bytes
from mien.client.streams import Exchange
from mien.errors import ConfigError, InputError
from mien.images import decode, encode
from support.images import noise


def _made_up(client: Client, *answers: Any) -> None:
    """Lets the client meet these answers in turn, the last one again and again."""
    waiting = itertools.chain(answers, itertools.repeat(answers[-1]))

    def answer(request: Any) -> Any:
        value = next(waiting)
        if isinstance(value, Exception):
            raise value
        return value

    client._http = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://mien")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that clients make, in no time."""
    made: list[float] = []
    monkeypatch.setattr("mien.client.clients.time.sleep", made.append)
    return made


def test_not_now_is_tried_again(pauses: list[float]) -> None:
    with Client() as client:
        busy = httpx.Response(503, headers={"retry-after": "2"}, json={})
        refused = httpx.ConnectError("refused")
        _made_up(client, refused, busy, httpx.Response(429, json={}), httpx.Response(200, json={}))
        assert client.models() == {}
    assert len(pauses) == 3
    assert 0.2 <= pauses[0] <= 0.25
    assert 2 <= pauses[1] <= 2.5
    assert 0.8 <= pauses[2] <= 1.0


def test_service_that_is_busy_from_the_first_call_on_is_waited_for(pauses: list[float]) -> None:
    with Client(patience_s=30) as client:
        busy = httpx.Response(503, headers={"retry-after": "4"}, json={})
        _made_up(client, busy, busy, busy, httpx.Response(200, json={}))
        assert client.models() == {}
    assert 12 <= sum(pauses) <= 15  # above the 5 s for one that never answered


def test_outage_is_waited_for_where_the_service_was_there_before(pauses: list[float]) -> None:
    good, gone = httpx.Response(200, json={}), httpx.RemoteProtocolError("it was stopped")
    with Client(patience_s=60) as client:
        _made_up(client, gone)
        with pytest.raises(ServiceError, match="mien serve"):
            client.models()
        assert 2 < sum(pauses) <= 5  # nobody may have started it
        _made_up(client, good, *[gone] * 7, good)
        client.models()
        pauses.clear()
        assert client.models() == {}
        assert 20 < sum(pauses) <= 60
        _made_up(client, gone)
        with pytest.raises(ServiceError):
            client.models()


def test_pictures_are_what_people_have(tmp_path: Path) -> None:
    image_rgb = noise(24)
    file = tmp_path / "a.png"
    file.write_bytes(encode(image_rgb))
    batch = np.stack([image_rgb, image_rgb])
    given: list[Any] = [
        file,
        [Image.fromarray(image_rgb), io.BytesIO(file.read_bytes())],
        batch,
        image_rgb,
    ]
    sent = named_files(given)
    assert [name for name, _ in sent] == ["a.png", *(f"image-{n}" for n in range(2, 7))]
    for _, data in sent:
        np.testing.assert_array_equal(decode(data), image_rgb)
    assert to_bytes(image_rgb, suffix=".jpg").startswith(b"\xff\xd8")


def test_patience_ends_and_faults_are_not_repeated(pauses: list[float]) -> None:
    problem = {"detail": "the queue is full", "request_id": "abc"}
    with Client(patience_s=1) as client:
        _made_up(client, httpx.Response(503, json=problem))
        with pytest.raises(ServiceError, match="queue is full") as error:
            client.models()
        assert (error.value.status, error.value.request_id) == (503, "abc")
        for answer in (httpx.Response(504, json={}), httpx.ReadTimeout("slow")):
            _made_up(client, answer)
            with pytest.raises(ServiceError):
                client.predict(b"x")
        # A proxy in between answers with pages of its own.
        for status in (200, 422, 502):
            _made_up(client, httpx.Response(status, text="<html></html>"))
            with pytest.raises(ServiceError, match=f"answered {status}"):
                client.predict(b"x")
    copied = pickle.loads(pickle.dumps(error.value))
    assert str(copied) == str(error.value)


def test_stream_that_is_refused_or_stays_busy_says_so() -> None:
    pytest.importorskip("websockets")
    from websockets.exceptions import ConnectionClosedError
    from websockets.frames import Close

    exchange = Exchange("http://mien", {}, {}, timeout_s=1)
    patience = Patience(Service("http://mien", 1))
    for code, status in ((1008, 422), (1009, 413)):
        with pytest.raises(ServiceError, match="its reason") as error:
            exchange.wait_s(ConnectionClosedError(Close(code, "its reason"), None), patience)
        assert error.value.status == status
    busy = ServiceError(503, "the queue is full")
    assert exchange.wait_s(busy, patience) > 0
    with pytest.raises(ServiceError, match="queue is full"):
        exchange.wait_s(busy, Patience(Service("http://mien", 0)))
    loading = ConnectionClosedError(Close(1013, "the models are being loaded"), None)
    with pytest.raises(ServiceError, match="models are being loaded") as error:
        exchange.wait_s(loading, Patience(Service("http://mien", 0)))
    assert error.value.status == 503


def test_stream_that_is_refused_for_its_rate_waits_as_it_is_told() -> None:
    pytest.importorskip("websockets")
    from websockets.datastructures import Headers
    from websockets.exceptions import InvalidStatus
    from websockets.http11 import Response

    exchange = Exchange("http://mien", {}, {}, timeout_s=1)
    patience = Patience(Service("http://mien", 8))
    body = b'{"detail": "too many requests."}'
    many = InvalidStatus(Response(429, "", Headers({"Retry-After": "3"}), body))
    assert 3 <= exchange.wait_s(many, patience) <= 3.75
    assert 3 <= exchange.wait_s(many, patience) <= 3.75  # it answers: 5 s are not the end
    with pytest.raises(ServiceError, match="too many requests") as error:
        exchange.wait_s(many, patience)
    assert error.value.status == 429
    for body in (b"", b"<html></html>", b"[]"):
        with pytest.raises(ServiceError, match="refuses the stream"):
            exchange.wait_s(InvalidStatus(Response(403, "", Headers(), body)), patience)


def test_unreachable_and_impossible_are_said(tmp_path: Path) -> None:
    with Client("http://127.0.0.1:9", patience_s=0) as client:
        assert not client.ready()
        with pytest.raises(ServiceError, match="mien serve"):
            client.models()
        with pytest.raises(InputError, match="no pictures"):
            client.predict()
        with pytest.raises(InputError, match="cannot be read"):
            client.predict(tmp_path / "none.jpg")
    with pytest.raises(ConfigError, match="http"):
        Client("127.0.0.1")
