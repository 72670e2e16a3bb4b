"""The real server: slow, greedy and vanishing clients, processes, and the end."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")

from mien.images import encode
from support.images import noise
from support.load_scripts import load_script
from support.service import Server

CROP = encode(noise(48))


def _raw(server: Server, data: bytes, *, wait_s: float = 5) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=wait_s) as raw:
        raw.sendall(data)
        got = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := raw.recv(65536):
                got += chunk
        return got


def _post_head(more: str) -> bytes:
    return (
        "POST /v1/predict/faces HTTP/1.1\r\nHost: x\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\n{more}\r\n"
    ).encode()


def test_slow_headers_are_cut_off(server: Server) -> None:
    start = time.monotonic()
    assert _raw(server, b"GET /healthz HTTP/1.1\r\nX-Slow: ") == b""
    assert 0.5 < time.monotonic() - start < 4


def test_trickled_headers_are_cut_off(server: Server) -> None:
    start = time.monotonic()
    turns = 0
    with (
        socket.create_connection(("127.0.0.1", server.port)) as raw,
        contextlib.suppress(OSError),
    ):
        raw.sendall(b"GET / HTTP/1.1\r\nA")
        for turns in range(100):  # noqa: B007 - how far it came is looked at below
            raw.sendall(b"a")
            time.sleep(0.05)
    assert turns < 99
    assert time.monotonic() - start < 4


def test_slow_body_is_answered_408(server: Server) -> None:
    answer = _raw(server, _post_head("Content-Length: 1000\r\n") + b"--b\r\n")
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize("declared", [True, False])
def test_oversized_body_is_refused(server: Server, declared: bool) -> None:
    if declared:
        head = _post_head("Content-Length: 3000000\r\n")
        answer = _raw(server, head + bytes(3_000_000))
    else:
        chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
        head = _post_head("Transfer-Encoding: chunked\r\n")
        answer = _raw(server, head + chunk * 40 + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"problem+json" in answer


def test_huge_headers_are_cut_off(server: Server) -> None:
    with contextlib.suppress(OSError):
        answer = _raw(server, b"GET /healthz HTTP/1.1\r\n" + b"A: " + b"a" * 10_000_000)
        assert b"200" not in answer[:20]
    assert httpx.get(server.url + "/healthz").status_code == 200


def test_idle_connections_of_one_address_are_bounded(server: Server) -> None:
    """At most 40 here: the one that is idle longest is closed, one with a request is not."""

    def connect(address: str) -> socket.socket:
        return socket.create_connection(
            ("127.0.0.1", server.port), timeout=5, source_address=(address, 0)
        )

    def is_open(raw: socket.socket) -> bool:
        raw.settimeout(0.1)
        try:
            return raw.recv(1) != b""
        except TimeoutError:
            return True

    data = _post(encode(noise(120)), "busy")
    with contextlib.ExitStack() as stack:
        busy, other = (stack.enter_context(connect(f"127.0.0.{end}")) for end in (7, 8))
        busy.sendall(data[:-1])
        slow = []
        for _ in range(43):
            slow.append(stack.enter_context(connect("127.0.0.7")))
            slow[-1].sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
            time.sleep(0.002)
        assert [is_open(raw) for raw in slow[:4]] == [False] * 3 + [True]
        assert is_open(other)
        assert is_open(slow[-1])
        busy.sendall(data[-1:])
        assert busy.recv(4096).startswith(b"HTTP/1.1 200")
        slow[-1].sendall(b"a\r\n\r\n")
        assert slow[-1].recv(4096).startswith(b"HTTP/1.1 200")
    assert 'mien_rejections_total{reason="idle"}' in httpx.get(server.url + "/metrics").text


def test_slow_clients_keep_no_honest_one_out() -> None:
    """The load of ``benchmarks/load/stalled.py``, smaller."""
    stalled = load_script("stalled")
    server = Server("--detector", "none", "--queue-size", "16")
    try:
        crowd = {"users": 8, "headers": 30, "bodies": 40}
        answers, _ = asyncio.run(stalled.measure(server.port, _post(CROP, "a"), 3, **crowd))
    finally:
        assert server.stop() == 0
    assert len(answers) > 8
    assert {status for status, _ in answers} == {200}


def test_slow_phone_is_answered(server: Server) -> None:
    data = _post(encode(noise(120)), "slow")
    step = 1 + len(data) // 10
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
        for first in range(0, len(data), step):
            raw.sendall(data[first : first + step])
            time.sleep(0.15)  # 1.5 s in all; here a body may be silent for 1 s
        assert raw.recv(4096).startswith(b"HTTP/1.1 200")


def test_many_clients_get_their_own_answers(server: Server) -> None:
    from mien import EmotionRecognizer

    crops = [encode(noise(48, seed)) for seed in range(24)]
    expected = EmotionRecognizer(detector="none").predict_faces(crops)
    wrong: list[int] = []

    def ask(index: int) -> None:
        with httpx.Client(base_url=server.url, trust_env=False) as client:
            for turn in range(index, index + 12):
                number = turn % len(crops)
                answer = client.post(
                    "/v1/predict/faces", files={"images": (f"{number}.png", crops[number])}
                )
                while answer.status_code == 503:
                    time.sleep(0.05)
                    answer = client.post(
                        "/v1/predict/faces", files={"images": (f"{number}.png", crops[number])}
                    )
                result = answer.json()["results"][0]
                got = list(result["faces"][0]["probs"].values())
                if result["source"] != f"{number}.png" or max(abs(got - expected[number])) > 1e-5:
                    wrong.append(number)

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    batches = httpx.get(server.url + "/metrics").text
    runs = float(_metric(batches, "mien_batch_faces_count"))
    assert runs < float(_metric(batches, "mien_batch_faces_sum"))  # some runs had several


def _metric(text: str, name: str) -> str:
    return next(line.split()[1] for line in text.splitlines() if line.startswith(name + " "))


def _post(crop: bytes, name: str) -> bytes:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'
        + crop
        + b"\r\n--b--\r\n"
    )
    head = _post_head(f"Content-Length: {len(body)}\r\nX-Request-ID: {name}\r\n")
    return head + body


async def _shoot(port: int, worker: int, answered: dict[str, int]) -> None:
    """Sends requests on one connection until the server closes it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        for turn in range(100_000):
            name = f"{worker}-{turn}"
            writer.write(_post(CROP, name))
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(
                line.split(": ", 1) for line in head.decode().lower().split("\r\n")[1:] if line
            )
            body = await reader.readexactly(int(fields["content-length"]))
            assert json.loads(body)["request_id"] == name
            answered[name] = int(head.split()[1])
    writer.close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_under_load_loses_nothing_accepted(workers: str) -> None:
    server = Server("--detector", "none", "--workers", workers)
    answered: dict[str, int] = {}

    async def load() -> None:
        shooters = [
            asyncio.create_task(_shoot(server.port, worker, answered)) for worker in range(30)
        ]
        await asyncio.sleep(1.0)
        server.process.terminate()
        await asyncio.gather(*shooters)

    asyncio.run(load())
    server.process.wait(20)
    lines = server.lines()
    assert server.stop() == 0
    # Every request that reached the application is in its log; every one must be at its client.
    accepted = {line["request_id"]: line["status"] for line in lines if line["event"] == "request"}
    shot = {name: status for name, status in accepted.items() if "-" in name}
    assert len(shot) > 30
    assert shot == answered
    assert set(answered.values()) <= {200, 503}
    assert 200 in answered.values()
    assert sum(line["event"] == "stopped" for line in lines) == int(workers)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_metrics_are_of_all_processes_and_have_a_port_without_a_key(workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    key = hashlib.sha256(b"secret").hexdigest()
    server = Server(
        "--detector", "none", "--workers", workers, "--metrics-port", str(port), "--api-keys", key
    )
    for _ in range(20):  # a connection each: both processes answer some
        httpx.get(server.url + "/v1/models", headers={"x-api-key": "secret"})
    assert httpx.get(server.url + "/metrics").status_code == 401
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    counted = [
        line
        for line in text.splitlines()
        if line.startswith("mien_requests_total{") and 'route="/v1/models"' in line
    ]
    assert sum(float(line.split()[-1]) for line in counted) == 20
    assert 'mien_rejections_total{reason="key"}' in text
    assert server.stop() == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics")


def test_health_check_follows_the_port(server: Server) -> None:
    """The command of deploy/Dockerfile."""

    def check(port: int) -> subprocess.CompletedProcess[str]:
        variables = {**os.environ, "MIEN_PORT": str(port), "MIEN_HOST": "0.0.0.0"}
        variables |= {"http_proxy": "http://127.0.0.1:9", "no_proxy": ""}  # of no concern to it
        command = [sys.executable, "-m", "mien.serve.health"]
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)

    assert check(server.port).returncode == 0
    wrong = check(9)
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("not ready: ")
