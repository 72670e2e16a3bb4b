"""Hostile input against the real server: never a 500, never a hang, memory flat."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")

from mien.images import encode
from support.images import broken_images, noise
from support.load_scripts import load_script

if TYPE_CHECKING:
    from support.service import Server

_GOOD = {200, 404, 405, 408, 413, 415, 422}


@pytest.mark.parametrize("name", sorted(broken_images()))
def test_broken_picture_is_422(server: Server, name: str) -> None:
    data = broken_images()[name]
    for route in ("/v1/predict", "/v1/predict/faces"):
        answer = httpx.post(server.url + route, files={"images": (name, data)})
        if "holed" in name and answer.status_code == 200:
            continue  # some decoders read what is left
        assert answer.status_code == 422, (route, answer.text)
        assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "name",
    ["../../../etc/passwd", "/etc/passwd", "C:\\windows\\x", "a\x00b", "\u202egpj.exe", "x" * 4000,
     "$(id).jpg", "a\r\nX-Evil: 1", "%2e%2e%2f", "<script>", '"; filename="b'],
)  # fmt: skip
def test_file_name_is_only_a_name(server: Server, photo: bytes, name: str) -> None:
    answer = httpx.post(
        server.url + "/v1/predict/faces", files={"images": (name, photo, "image/jpeg")}
    )
    assert answer.status_code == 200
    assert "x-evil" not in answer.headers
    source = answer.json()["results"][0]["source"]
    assert "/" not in source
    assert "\\" not in source
    assert len(source) <= 100


def random_request(rng: random.Random) -> dict[str, Any]:
    """Returns a request whose body is random, under a content type that may not fit."""
    body = rng.randbytes(rng.choice((0, 1, 10, 300, 5000)))
    kind = rng.choice(
        ("application/json", "multipart/form-data; boundary=b", "multipart/form-data",
         "text/plain", "image/png", "", "multipart/form-data; boundary=" + "b" * 300)
    )  # fmt: skip
    if rng.random() < 0.4:
        body = b'--b\r\nContent-Disposition: form-data; name="images"\r\n\r\n' + body
        body += rng.choice((b"\r\n--b--\r\n", b"", b"\r\n--b\r\n", b"--b--"))
    if rng.random() < 0.3:
        body = b'{"images": [' + body[:50] + rng.choice((b"]}", b"", b"[[[[[", b'{"data": "'))
    path = rng.choice(("/v1/predict", "/v1/predict/faces", "/v1/explain", "/v1/models", "/metrics"))
    query = rng.choice(("", "", "?labels=hes3", "?min_face=-1", "?top_k=" + "9" * 50, "?%00=%ff"))
    return {
        "method": rng.choice(("POST", "POST", "POST", "PUT", "GET")),
        "url": path + query,
        "content": body,
        "headers": {"content-type": kind} if kind else {},
    }


def test_random_bodies_are_answered(server: Server) -> None:
    rng = random.Random(1)
    with httpx.Client(base_url=server.url, timeout=10) as client:
        for _ in range(600):
            request = random_request(rng)
            answer = client.request(**request)
            assert answer.status_code in _GOOD, (request, answer.text)
    assert server.process.poll() is None


def test_random_streams_are_ended(server: Server) -> None:
    """A part of ``benchmarks/load/random_bodies.py``."""
    streams = load_script("random_streams")
    rng, good = random.Random(1), encode(noise(48))
    before = len(server.lines())

    def make(rng: random.Random) -> bytes:
        return rng.choice((good, good[:200], rng.randbytes(500)))

    ends = {streams.attack(server.port, rng, make, 10) for _ in range(250)}
    assert not any(map(streams.is_fault, ends))
    closed = {f"close {code}" for code in (1002, 1003, 1007, 1008, 1009)}
    assert {"answered", "left", "400", "403", *closed} <= ends
    assert not [line for line in server.lines()[before:] if line["event"] == "failed"]


def test_memory_stays_flat_under_bombs(server: Server) -> None:
    psutil = pytest.importorskip("psutil")
    process = psutil.Process(server.process.pid)
    bombs = [
        ("application/json", b"[" * 1_900_000),
        ("application/json", b'{"images": [' + b"{}," * 600_000 + b"{}]}"),
        ("application/json", b'{"images": [{"data": "' + b"A" * 1_900_000 + b'"}]}'),
        ("multipart/form-data; boundary=b", b"--b\r\n" * 300_000),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"a: b\r\n" * 300_000),
    ]
    sizes = []
    with httpx.Client(base_url=server.url, timeout=20) as client:
        for _ in range(4):
            for kind, body in bombs:
                answer = client.post("/v1/predict", content=body, headers={"content-type": kind})
                assert answer.status_code in (413, 422)
            sizes.append(process.memory_info().rss)
    assert sizes[-1] < sizes[0] * 1.1


@pytest.mark.filterwarnings("default")
def test_schemathesis_finds_nothing(server: Server) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    schema = schemathesis.openapi.from_url(server.url + "/openapi.json")
    seen: set[str] = set()
    kept: set[str] = set()
    for operation in schema.get_all_operations():
        strategy = operation.ok().as_strategy()

        @given(case=strategy)
        @settings(
            max_examples=12, deadline=None, database=None, derandomize=True,
            suppress_health_check=list(HealthCheck), phases=[Phase.generate],
        )  # fmt: skip
        def check(case: Any) -> None:
            answer = case.call(timeout=10)
            seen.add(case.path)
            if "location" in answer.headers:  # other tests want the room of this clip
                [address] = answer.headers["location"]
                kept.add(address)
            # That random bytes are no picture is no fault of the schema.
            excluded = [positive_data_acceptance]
            # Room for clips is bounded: more than that are put off, whatever they hold.
            if (case.path, answer.status_code) == ("/v1/clips", 503):
                excluded.append(not_a_server_error)
            case.validate_response(answer, excluded_checks=excluded)

        check()
    for address in kept:
        assert httpx.delete(server.url + address, timeout=20).status_code in {200, 204, 404}
    assert {"/v1/predict", "/v1/predict/faces", "/v1/models", "/healthz"} <= seen
