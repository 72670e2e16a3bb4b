"""Fetching a pinned file, against a server on the loopback interface."""

from __future__ import annotations

import hashlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mien.detectors import get_detector, yunet
from mien.errors import ModelError
from support.detectors_download import BODY, DIGEST, get

if TYPE_CHECKING:
    from collections.abc import Iterator


class Handler(BaseHTTPRequestHandler):
    requests = 0

    def do_GET(self) -> None:
        type(self).requests += 1
        body = {"/right": BODY, "/wrong": BODY[::-1], "/short": BODY[:-9], "/long": BODY + b"x"}
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/right")
            self.end_headers()
            return
        if self.path == "/silent":
            time.sleep(1.5)
            return
        if self.path == "/cut":  # promises more than it sends
            self.send_response(200)
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY[:1000])
            return
        if self.path not in body:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body[self.path])))
        self.end_headers()
        self.wfile.write(body[self.path])

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


@pytest.mark.parametrize("page", ["right", "moved"])
def test_fetch_downloads_once(server: str, cache: Path, page: str) -> None:
    path = get(f"{server}/{page}")
    assert path == cache / "file.bin"
    assert path.read_bytes() == BODY
    before = Handler.requests
    assert get(f"{server}/{page}") == path
    assert Handler.requests == before
    assert list(cache.iterdir()) == [path]


def test_fetch_replaces_a_damaged_file(server: str, cache: Path) -> None:
    cache.mkdir()
    (cache / "file.bin").write_bytes(BODY[:-1] + b"?")
    assert get(f"{server}/right").read_bytes() == BODY


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("wrong", f"got 128,000 bytes with sha256 .*wanted 128,000 with {DIGEST}"),
        ("short", "got 127,991 bytes"),
        ("long", "got 128,001 bytes"),
        ("cut", "cannot fetch file.bin|got 1,000 bytes"),
        ("none", "404"),
        ("silent", "timed out"),
    ],
)
def test_fetch_refuses(server: str, cache: Path, page: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        get(f"{server}/{page}", timeout_s=0.3 if page == "silent" else 5.0)
    assert "Pass the file." in str(caught.value)
    assert not cache.exists() or list(cache.iterdir()) == []


def test_fetch_gives_up_on_a_slow_server(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(0, 10_000, 100))
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks))
    with pytest.raises(ModelError, match="the server took over 20 s"):
        get(f"{server}/right")


def test_fetch_says_when_the_cache_cannot_be_written(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match=r"cannot fetch file\.bin"):
        get(f"{server}/right")


def test_yunet_is_fetched_into_the_cache(
    server: str, shared: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = shared / "weights" / "face_detection_yunet_2026may.onnx"
    monkeypatch.setattr(yunet, "_SHA256", hashlib.sha256(weights.read_bytes()).hexdigest())
    cache.mkdir()
    (cache / yunet._FILE).write_bytes(weights.read_bytes())
    assert get_detector("yunet", threads=1).name == "yunet"
