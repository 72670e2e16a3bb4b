"""The client against the real server, and against answers made up."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")

from mien.client import Client, ServiceError
from mien.errors import ConfigError, InputError


def _made_up(client: Client, *answers: Any) -> list[float]:
    """Lets the client meet these answers in turn; returns the pauses it makes."""
    waiting = iter(answers)
    pauses: list[float] = []

    def answer(request: Any) -> Any:
        value = next(waiting)
        if isinstance(value, Exception):
            raise value
        return value

    client._http = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://mien")
    return pauses


def test_not_now_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("mien.client.clients.time.sleep", pauses.append)
    with Client(retries=3) as client:
        busy = httpx.Response(503, headers={"retry-after": "2"}, json={})
        refused = httpx.ConnectError("refused")
        _made_up(client, refused, busy, httpx.Response(429, json={}), httpx.Response(200, json={}))
        assert client.models() == {}
    assert len(pauses) == 3
    assert 0.2 <= pauses[0] <= 0.25
    assert 2 <= pauses[1] <= 2.5
    assert 0.8 <= pauses[2] <= 1.0


def test_patience_ends_and_faults_are_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.client.clients.time.sleep", lambda seconds: None)
    problem = {"detail": "the queue is full", "request_id": "abc"}
    with Client(retries=1) as client:
        _made_up(client, *[httpx.Response(503, json=problem)] * 2)
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


def test_unreachable_and_impossible_are_said(tmp_path: Path) -> None:
    with Client("http://127.0.0.1:9", retries=0) as client:
        assert not client.ready()
        with pytest.raises(ServiceError, match="mien serve"):
            client.models()
        with pytest.raises(InputError, match="no pictures"):
            client.predict()
        with pytest.raises(InputError, match="cannot be read"):
            client.predict(tmp_path / "none.jpg")
    with pytest.raises(ConfigError, match="http"):
        Client("127.0.0.1")
