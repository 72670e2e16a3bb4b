"""Load profiles for ``benchmarks/load/run.py``; each is a class of users.

steady   one photo after the other, without a pause
burst    pauses of seconds, then many requests at once
mixed    crops, photos and several pictures per request, small and large
hostile  broken pictures, bombs, wrong types and options between good requests
"""

from __future__ import annotations

import io
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
import numpy as np
from locust import FastHttpUser, constant, task
from PIL import Image

if TYPE_CHECKING:
    from locust.contrib.fasthttp import ResponseContextManager

PHOTO = Path(os.environ["MIEN_LOAD_PHOTO"]).read_bytes()
#: The deliberate answers: done, not now, not you, not that.
GOOD = {200, 429, 503}
REFUSED = {400, 404, 405, 408, 413, 415, 422, 429, 503}


def picture(width: int, height: int, kind: str = "JPEG") -> bytes:
    """The photo, scaled; so many pixels cost so much time."""
    out = io.BytesIO()
    Image.open(io.BytesIO(PHOTO)).convert("RGB").resize((width, height)).save(out, kind)
    return out.getvalue()


VGA, LARGE, SMALL = picture(640, 480), picture(1920, 1440), picture(160, 120)
CROP = picture(48, 48, "PNG")
NOISE = np.random.default_rng(0).integers(0, 256, 20_000, np.uint8).tobytes()


class Base(FastHttpUser):
    """Counts an answer outside the wanted ones as a failure."""

    abstract = True
    wait_time = constant(0)
    network_timeout = connection_timeout = 60.0

    def send(self, name: str, path: str, wanted: set[int] = GOOD, **request: Any) -> None:
        pause_s = 0.0
        with self.client.post(path, name=name, catch_response=True, **request) as answer:
            assess(answer, wanted)
            if answer.status_code == 503 and 503 in wanted:
                # Counted apart, and obeyed: who is told to come back later does so.
                answer.request_meta["name"] = "503, come back later"
                pause_s = float(answer.headers.get("retry-after", 1))
        gevent.sleep(pause_s)

    def pictures(self, name: str, path: str, *files: bytes, wanted: set[int] = GOOD) -> None:
        parts = b"".join(
            b'--b\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'
            + data
            + b"\r\n"
            for data in files
        )
        headers = {"content-type": "multipart/form-data; boundary=b"}
        self.send(name, path, wanted, data=parts + b"--b--\r\n", headers=headers)


def assess(answer: ResponseContextManager, wanted: set[int]) -> None:
    """Says whether an answer is one of those that may be."""
    if answer.status_code in wanted:
        answer.success()
    else:
        answer.failure(f"status {answer.status_code}")


class Steady(Base):
    """One photo of 640x480 after the other."""

    @task
    def photo(self) -> None:
        self.pictures("photo", "/v1/predict", VGA)


class Burst(Base):
    """Quiet for seconds, then ten requests without a pause."""

    def wait_time(self) -> float:  # type: ignore[override]
        return random.uniform(2, 4)

    @task
    def burst(self) -> None:
        for _ in range(10):
            self.pictures("crop in a burst", "/v1/predict/faces", CROP)


class Mixed(Base):
    """What a day brings."""

    @task(6)
    def crop(self) -> None:
        self.pictures("crop", "/v1/predict/faces", CROP)

    @task(2)
    def crops(self) -> None:
        self.pictures("16 crops", "/v1/predict/faces", *[CROP] * 16)

    @task(3)
    def photo(self) -> None:
        self.pictures("photo", "/v1/predict", VGA)

    @task(1)
    def large(self) -> None:
        self.pictures("large photo", "/v1/predict", LARGE)

    @task(1)
    def several(self) -> None:
        self.pictures("4 small photos", "/v1/predict", *[SMALL] * 4)

    @task(1)
    def models(self) -> None:
        self.client.get("/v1/models", name="models")


class Hostile(Base):
    """Nonsense between good requests, which must still be answered."""

    @task(3)
    def good(self) -> None:
        self.pictures("good crop", "/v1/predict/faces", CROP)

    @task(2)
    def broken(self) -> None:
        data = random.choice((b"", NOISE, VGA[:5000], b"<svg/>"))
        self.pictures("broken", "/v1/predict", data, wanted=REFUSED)

    @task
    def bomb(self) -> None:
        body = b'{"images": [' + b"{}," * 100_000 + b"{}]}"
        headers = {"content-type": "application/json"}
        self.send("JSON bomb", "/v1/predict", REFUSED, data=body, headers=headers)

    @task
    def oversized(self) -> None:
        headers = {"content-type": "application/json", "connection": "close"}
        self.send("oversized", "/v1/predict", REFUSED, data=bytes(3_000_000), headers=headers)

    @task
    def option(self) -> None:
        path = "/v1/predict?detector=../../etc/passwd"
        self.pictures("wrong option", path, CROP, wanted=REFUSED)
