"""How much of the library's throughput the service keeps, and what batching brings.

All sides run in turns in one run, with the client on the same machine:

- ready crops: the service, in-process ``predict_faces``, and a plain FastAPI endpoint that runs
  one session call per request;
- photos of 640x480: the service and in-process ``predict``.

It also prints the CPU time of client and server together per item: on a machine that
others use too, it tells more.

Usage: ``python benchmarks/serve_throughput.py PHOTO [--rounds 5] [--seconds 3]``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from PIL import Image

from mien import EmotionRecognizer
from mien.detectors import DEFAULT_DETECTOR
from mien.images import decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: What somebody writes in ten minutes: one upload, one run, one answer.
PLAIN = """
import sys, uvicorn
from fastapi import FastAPI, UploadFile
from mien import EmotionRecognizer
app, recognizer = FastAPI(), EmotionRecognizer(detector="none")

@app.get("/readyz")
def ready(): return {}

@app.post("/v1/predict/faces")
def predict(images: UploadFile):
    probs = recognizer.predict_faces([images.file.read()])[0]
    return dict(zip(recognizer.labels, probs.tolist()))

uvicorn.run(app, port=int(sys.argv[1]), log_level="error", access_log=False)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(*command: str, port: int) -> Iterator[psutil.Process]:
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen([sys.executable, *command], stderr=log)
        try:
            end = time.monotonic() + 60
            while not is_ready(port):
                if time.monotonic() > end or process.poll() is not None:
                    log.seek(0)
                    raise RuntimeError(f"did not start: {log.read()}")
                time.sleep(0.05)
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(30)


def cpu_s(processes: list[psutil.Process]) -> float:
    """Returns the CPU seconds that these processes have used."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def is_ready(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 2) as raw:
        raw.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return raw.recv(64).startswith(b"HTTP/1.1 200")
    return False


def request_bytes(path: str, pictures: list[bytes]) -> bytes:
    body = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n" + picture + b"\r\n"
        for picture in pictures
    )
    body += b"--b--\r\n"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def shoot(port: int, request: bytes, users: int, seconds: float) -> float:
    """Returns answers a second of so many users, each sending one request after the other."""
    answered = 0
    start = time.perf_counter()
    end = start + seconds

    async def user() -> None:
        nonlocal answered
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < end:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head.lower())
            body = await reader.readexactly(int(length.group(1)))
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(body[:500])
            answered += 1
        writer.close()

    await asyncio.gather(*(user() for _ in range(users)))
    return answered / (time.perf_counter() - start)


def in_process(call: Callable[[], object], items: int, seconds: float) -> float:
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        call()
        done += items
    return done / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--detector", default=DEFAULT_DETECTOR)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--users", type=int, default=16)
    given = parser.parse_args()
    photo = encode_photo(given.photo)
    recognizer = EmotionRecognizer(detector=given.detector)
    box = [round(value) for value in recognizer.predict(photo).faces[0].box_xyxy]
    crop = encode(decode(photo)[box[1] : box[3], box[0] : box[2]])
    crop = shrink(crop)
    many = [crop] * 32
    plain_port, port = free_port(), free_port()
    serve = [
        "-m", "mien", "serve", "--port", str(port), "--detector", given.detector,
        "--queue-size", "2048", "--deadline-s", "60", "--log-level", "warning",
    ]  # fmt: skip
    with (
        running("-c", PLAIN, str(plain_port), port=plain_port) as plain,
        running(*serve, port=port) as service,
    ):
        one = request_bytes("/v1/predict/faces", [crop])
        batch = request_bytes("/v1/predict/faces", many)
        whole = request_bytes("/v1/predict", [photo])
        seconds, users = given.seconds, given.users
        sides: dict[str, Callable[[], float]] = {
            "crops, in-process predict_faces": lambda: in_process(
                lambda: recognizer.predict_faces(many), 32, seconds
            ),
            "crops, service, 32 a request": lambda: (
                32 * asyncio.run(shoot(port, batch, 4, seconds))
            ),
            "crops, service, 1 a request": lambda: asyncio.run(shoot(port, one, users, seconds)),
            "crops, plain endpoint, 1 a request": lambda: asyncio.run(
                shoot(plain_port, one, users, seconds)
            ),
            "photos, in-process predict": lambda: in_process(
                lambda: recognizer.predict(photo), 1, seconds
            ),
            "photos, service, 1 a request": lambda: asyncio.run(shoot(port, whole, users, seconds)),
        }
        speeds: dict[str, list[float]] = {name: [] for name in sides}
        costs: dict[str, list[float]] = {name: [] for name in sides}
        processes = [plain, service, psutil.Process()]
        for turn in range(given.rounds + 1):
            for name, run in sides.items():
                start, busy_s = time.perf_counter(), cpu_s(processes)
                speed = run()
                items = speed * (time.perf_counter() - start)
                if turn:  # the first turn warms up
                    speeds[name].append(speed)
                    costs[name].append(1000 * (cpu_s(processes) - busy_s) / items)
    middle = {name: statistics.median(values) for name, values in speeds.items()}
    print(f"{os.cpu_count()} cores, {users} users, {given.rounds} rounds of {seconds:g} s each")
    for name, values in speeds.items():
        print(
            f"{name}: {middle[name]:.1f}/s (from {min(values):.1f} to {max(values):.1f}), "
            f"{statistics.median(costs[name]):.2f} ms of CPU each"
        )
    for above, below in (
        ("crops, service, 32 a request", "crops, in-process predict_faces"),
        ("crops, service, 1 a request", "crops, in-process predict_faces"),
        ("crops, service, 32 a request", "crops, plain endpoint, 1 a request"),
        ("crops, service, 1 a request", "crops, plain endpoint, 1 a request"),
        ("photos, service, 1 a request", "photos, in-process predict"),
    ):
        saved = statistics.median(costs[below]) / statistics.median(costs[above])
        ratio = middle[above] / middle[below]
        print(f"{above} / {below}: {ratio:.2f} of the throughput, {saved:.2f} by CPU time")


def encode_photo(path: Path) -> bytes:
    picture = Image.fromarray(decode(path))
    side = min(picture.width / 4, picture.height / 3)
    picture = picture.crop((0, 0, round(side * 4), round(side * 3))).resize((640, 480))
    import numpy as np

    return encode(np.asarray(picture), suffix=".jpg")


def shrink(crop: bytes) -> bytes:
    import numpy as np

    return encode(np.asarray(Image.fromarray(decode(crop)).convert("L").resize((48, 48))
                             .convert("RGB")))  # fmt: skip


if __name__ == "__main__":
    main()
