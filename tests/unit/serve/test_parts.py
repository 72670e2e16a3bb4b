"""The parts that need no server: keys, rates, admission, batching, uploads."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import os
import sys
import threading
import time
import warnings
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from mien import EmotionRecognizer, ErrorResult
from mien.cli.sources import SAMPLE
from mien.errors import ConfigError
from mien.serve import create_app
from mien.serve.access import RateLimit, find_client, load_keys
from mien.serve.admission import AdmissionQueue, OpenBodies
from mien.serve.answers import Reading, explain_upload
from mien.serve.batcher import Batcher
from mien.serve.config import ServeConfig
from mien.serve.problems import ProblemError
from mien.serve.protocol import IdleConnections
from mien.serve.telemetry import logs
from mien.serve.uploads import Upload, _parse_json, _parse_multipart, clean_name, read_body

_HASH = hashlib.sha256(b"secret").hexdigest()


def test_keys_come_from_file_and_settings(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    other = hashlib.sha256(b"other").hexdigest().upper()
    third = hashlib.sha256(b"third").hexdigest()
    # The last line is what sha256sum prints.
    file.write_text(f"# comment\nann:{_HASH}  # her laptop\n\n{other}\n{third}  -\n")
    keys = load_keys(ServeConfig(api_keys_file=str(file)))
    assert find_client(keys, {b"authorization": b"Bearer secret"}) == "ann"
    assert find_client(keys, {b"authorization": b"bearer other"}) == "key2"
    assert find_client(keys, {b"x-api-key": b"third"}) == "key3"
    for wrong in ({}, {b"x-api-key": b"Secret"}, {b"authorization": b"Basic secret"}):
        assert find_client(keys, wrong) is None


def test_connection_that_is_idle_longest_is_closed_for_a_new_one() -> None:
    connections: list[Any] = [object() for _ in range(5)]
    first, second, third, fourth, other = connections
    idle = IdleConnections(2)
    assert [idle.add("a", one) for one in (first, second)] == [None, None]
    assert idle.add("b", other) is None  # of another address
    idle.discard("a", first)  # it has a request
    assert idle.add("a", third) is None
    assert idle.add("a", first) == second  # and is idle again, the newest
    idle.discard("a", second)
    assert idle.add("a", fourth) == third
    for one in connections:
        idle.discard("a", one)
    idle.discard("b", other)
    assert not idle._idle  # nothing is kept of addresses that left
    unbounded = IdleConnections(0)
    assert [unbounded.add("a", one) for one in connections] == [None] * 5


def test_a_client_may_have_two_keys_while_it_changes_them() -> None:
    new = hashlib.sha256(b"new").hexdigest()
    keys = load_keys(ServeConfig(api_keys=(f"ann:{_HASH}", f"ann:{new}", f"key4:{new[::-1]}")))
    assert {find_client(keys, {b"x-api-key": key}) for key in (b"secret", b"new")} == {"ann"}
    assert len(keys) == 3


@pytest.mark.parametrize("content", ["", "# nothing\n", "secret\n", f"{_HASH}0\n"])
def test_unusable_key_file_is_refused_without_showing_it(tmp_path: Path, content: str) -> None:
    file = tmp_path / "keys"
    file.write_text(content)
    with pytest.raises(ConfigError) as error:
        load_keys(ServeConfig(api_keys_file=str(file)))
    assert content.strip() == "" or content.strip() not in str(error.value)


def test_rate_limit_refills_and_forgets_the_oldest() -> None:
    now = [0.0]
    limit = RateLimit(2, 3, most=2, clock=lambda: now[0])
    assert [limit.wait_s("a") for _ in range(4)] == [0, 0, 0, 0.5]
    now[0] = 0.5
    assert [limit.wait_s("a") for _ in range(2)] == [0, 0.5]
    limit.wait_s("b"), limit.wait_s("c")  # "a" is forgotten: memory stays bounded
    assert [limit.wait_s("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert RateLimit(0).wait_s("a") == 0


def test_gate_is_bounded_by_pictures_and_by_time() -> None:
    queue = AdmissionQueue(4, deadline_s=10)
    with pytest.raises(ProblemError, match="starting"), queue.admit("photo"):
        pass
    queue.open = True
    with queue.admit("photo", 4):
        with pytest.raises(ProblemError) as full, queue.admit("photo"):
            pass
        assert full.value.status == 503
        assert int(full.value.headers["retry-after"]) >= 1
    assert queue.pictures == 0
    queue.learn("photo", 3.0)
    with queue.admit("photo"):
        assert queue.refusal() is None  # 3 s of work in front, 4 of 10 are allowed
        with queue.admit("photo"):
            assert queue.refusal() is not None
    with pytest.raises(ProblemError), queue.admit("photo", 5):
        pass
    assert queue.pictures == 0


def test_one_picture_that_is_held_up_does_not_close_the_gate() -> None:
    queue = AdmissionQueue(100, deadline_s=10)
    queue.open = True
    queue.learn("photo", 0.02)
    queue.learn("photo", 9.0)
    assert queue.cost_s["photo"] == pytest.approx(0.032)
    with queue.admit("photo", 50):
        assert queue.refusal() is None
        for _ in range(8):  # but a machine that stays slow is noticed
            queue.learn("photo", 9.0)
        assert queue.refusal() is not None


def test_open_bodies_are_bounded_by_client_and_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.serve.admission._PLACE_S", 0.05)
    bodies = OpenBodies(2, max_bytes=100)

    async def run() -> None:
        async with bodies.open("slow"), bodies.open("slow") as grow, bodies.open("other") as more:
            with pytest.raises(ProblemError) as refused:
                await bodies.open("slow").__aenter__()
            assert (refused.value.status, refused.value.headers["retry-after"]) == (429, "1")
            grow(60)
            more(40)
            with pytest.raises(ProblemError) as full:
                more(1)
            assert full.value.status == 503
        assert bodies.bytes == 0
        assert not bodies._places  # nothing is kept of clients that are gone

    asyncio.run(run())


def test_upload_waits_for_a_place_that_gets_free() -> None:
    bodies = OpenBodies(1, max_bytes=100)

    async def send(seconds: float) -> None:
        async with bodies.open("ann"):
            await asyncio.sleep(seconds)

    async def run() -> None:
        await asyncio.gather(*(send(0.01) for _ in range(5)))

    asyncio.run(run())


async def _read(*pieces: tuple[float, bytes], timeout_s: float) -> bytes:
    left = iter(pieces)

    async def receive() -> dict[str, Any]:
        pause_s, data = next(left)
        await asyncio.sleep(pause_s)
        return {"type": "http.request", "body": data, "more_body": bool(data)}

    return await read_body(receive, most=10**6, timeout_s=timeout_s, grow=lambda size: None)


def test_slow_body_goes_on_while_it_comes_and_a_trickle_does_not() -> None:
    slow = [(0.03, bytes(2000))] * 6 + [(0.0, b"")]
    assert len(asyncio.run(_read(*slow, timeout_s=0.1))) == 12_000
    for stalled in ([(0.03, b"x")] * 9, [(0.0, bytes(50_000)), (0.3, b"x")]):
        with pytest.raises(ProblemError) as error:
            asyncio.run(_read(*stalled, timeout_s=0.1))
        assert error.value.status == 408


class _Network:
    """Adds up each crop; holds the first run until it may go on."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.go = threading.Event()

    def __call__(self, crops: Any) -> Any:
        self.go.wait(5)
        self.batches.append(len(crops))
        if (crops == 13).any():
            raise ValueError("thirteen")
        return crops.sum(axis=(1, 2, 3), dtype=np.float32)[:, None]


def _submit(batcher: Batcher, values: list[int]) -> Future[Any]:
    return batcher.submit(np.array(values, np.uint8).reshape(-1, 1, 1, 1))


def test_batcher_puts_requests_together_and_apart_again() -> None:
    network = _Network()
    batcher = Batcher(network, batch_size=8, wait_s=0)
    futures = [_submit(batcher, [1])]
    while not batcher._waiting.empty():  # the first one is taken: the network is held
        pass
    futures += [_submit(batcher, values) for values in ([2, 3], [4], [5, 6, 7])]
    unwanted = _submit(batcher, [99])
    assert unwanted.cancel()
    network.go.set()
    answers = [future.result(5)[0].ravel().tolist() for future in futures]
    assert answers == [[1], [2, 3], [4], [5, 6, 7]]
    assert network.batches == [1, 6]
    batcher.close()


def test_batcher_fails_only_the_request_that_fails() -> None:
    network = _Network()
    batcher = Batcher(network, batch_size=8, wait_s=0)
    futures = [_submit(batcher, [1])]
    while not batcher._waiting.empty():
        pass
    futures += [_submit(batcher, [13]), _submit(batcher, [2])]
    network.go.set()
    assert isinstance(futures[1].exception(5), ValueError)
    assert futures[2].result(5)[0].tolist() == [[2]]
    batcher.close()


def _multipart(*parts: tuple[str, str, bytes], end: bool = True) -> bytes:
    body = b"".join(
        f'--b\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode()
        + data
        + b"\r\n"
        for field, name, data in parts
    )
    return body + (b"--b--\r\n" if end else b"")


_TYPE = "multipart/form-data; boundary=b"


def test_multipart_keeps_bytes_and_cleans_names() -> None:
    data = bytes(range(256)) * 9
    body = _multipart(("images", "../../etc/passwd", data), ("image", "", b"x"))
    assert _parse_multipart(body, _TYPE, 2) == [("passwd", data), ("image-2", b"x")]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (_multipart(("other", "a", b"x")), _TYPE, 422),
        (_multipart(*[("images", "a", b"x")] * 3), _TYPE, 413),
        (_multipart(("images", "a", b"x"), end=False), _TYPE, 422),
        (b"", _TYPE, 422),
        (b"garbage", _TYPE, 422),
        (b"--b\r\nno header end", _TYPE, 422),
        (_multipart(("images", "a", b"x")), "multipart/form-data", 422),
        (_multipart(("images", "a", b"x")), "multipart/form-data; boundary=other", 422),
    ],
)
def test_damaged_multipart_is_refused(body: bytes, kind: str, status: int) -> None:
    with pytest.raises(ProblemError) as error:
        _parse_multipart(body, kind, 2)
    assert error.value.status == status


def test_json_is_base64_only() -> None:
    data = base64.b64encode(b"picture").decode()
    body = json.dumps({"images": [{"data": data}, {"data": "", "name": "C:\\x\\b.jpg"}]}).encode()
    assert _parse_json(body, "", 2) == [("image-1", b"picture"), ("b.jpg", b"")]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{}", b'{"images": 5}', b'{"images": [5]}', b'{"images": [{}]}',
        b'{"images": [{"data": 5}]}', b'{"images": [{"data": "***"}]}', b"\xff\xfe",
        b'{"images": [{"data": "http://example.com/a.jpg"}]}',
        b'{"images": [{"data": "", "url": "file:///etc/passwd"}]}',
        b"[" * 100_000, b'{"a":' * 100_000, b'{"images": [' + b"{}," * 1_000_000 + b"{}]}",
        b'{"images": ' + b"9" * 100_000 + b"}", b'{"images": [{"data": "\\ud800"}]}',
    ],
)  # fmt: skip
def test_json_bomb_or_nonsense_is_refused(body: bytes) -> None:
    with pytest.raises(ProblemError) as error:
        _parse_json(body, "", 4)
    assert error.value.status in (413, 422)


def test_name_is_never_a_path() -> None:
    for name in ("..", "a/..", "/", "\x00", "\u202e", "", "...", "x" * 5000, "\ud800"):
        cleaned = clean_name(name, 0)
        assert 0 < len(cleaned) <= 100
        assert cleaned.isprintable()
        assert not {"/", "\\"} & set(cleaned)
        assert cleaned.strip(".")


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities on Linux")
def test_application_alone_changes_nothing_of_the_process() -> None:
    loggers = [logging.getLogger(name) for name in ("mien.serve", "uvicorn", "uvicorn.access")]

    def state() -> list[object]:
        return [(log.level, list(log.handlers), log.propagate) for log in loggers]

    before, environment = state(), dict(os.environ)
    own = os.getpriority(os.PRIO_PROCESS, 0)
    with TestClient(create_app(ServeConfig(detector=("none",)))) as client:
        while client.get("/readyz").status_code != 200:
            time.sleep(0.02)
        files = {"images": ("a.jpg", SAMPLE.read_bytes())}
        assert client.post("/v1/predict", files=files).status_code == 200
        threads = [t for t in threading.enumerate() if t.name.startswith("mien-")]
        assert threads
        nice = {os.getpriority(os.PRIO_PROCESS, t.native_id or 0) for t in threads}
    assert nice == {own}
    assert (state(), dict(os.environ)) == (before, environment)


def test_everything_that_is_said_is_a_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    fault = ValueError("nobody caught it")
    with logs("info"), warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("a picture is odd", stacklevel=1)
        logging.getLogger("asyncio").error("a task\nfailed")
        sys.excepthook(ValueError, fault, None)
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert ["a picture is odd" in lines[0]["event"], lines[1]["event"]] == [True, "a task\nfailed"]
    assert "nobody caught it" in lines[2]["trace"]
    assert "ZeroDivisionError" in lines[3]["trace"]
    assert (sys.excepthook, threading.excepthook, sys.unraisablehook) == hooks


def test_errors_of_maps_name_the_upload_and_their_kind() -> None:
    class Broken:
        name = "broken"

        def detect(self, image_rgb: Any, **_: Any) -> Any:
            raise RuntimeError("no more memory")

    recognizer = EmotionRecognizer(detector=Broken())
    model: Any = SimpleNamespace(method="cam")
    for data, kind in ((SAMPLE.read_bytes(), "DetectorError"), (b"no picture", "InputError")):
        result, png, _ = explain_upload(Reading(model, recognizer, "map"), Upload("mine.jpg", data))
        assert isinstance(result, ErrorResult)
        assert (result.source, result.kind, png) == ("mine.jpg", kind, None)
        assert result.error.startswith("mine.jpg ")
