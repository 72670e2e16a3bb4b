"""Hostile input of all kinds: no 5xx but the 503 for clips, no hang, and memory is given back.

Noise under all content types, noise in the clothes of multipart, JSON, pictures and clips, pictures
that are cut short or damaged, and pictures that claim to be huge; on every route. One in ten is a
WebSocket of ``random_streams.py``. Memory at the end is compared with that after one good request
and one stream of each kind, and 200 hostile inputs, when everything has run once.

Usage: ``python benchmarks/load/random_bodies.py --count 10000``.
Exit code 1 if a promise is broken.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import random
import struct
import sys
import time
import zlib
from collections import Counter

from PIL import Image
from random_streams import MESSAGES, attack, is_fault
from service import SAMPLE, running

KINDS = (
    "application/json", "multipart/form-data; boundary=b", "multipart/form-data", "text/plain",
    "image/png", "", "multipart/form-data; boundary=" + "b" * 300,
)  # fmt: skip
POSTED = ("/v1/predict", "/v1/predict", "/v1/predict/faces", "/v1/explain", "/v1/clips")
PATHS = (*POSTED * 3, "/v1/clips/x", "/v1/models", "/metrics", "/docs/x", "/")
PHOTO = SAMPLE.read_bytes()
#: What clips begin like.
CLIPS = (
    b"\x00\x00\x00\x18ftypmp42",
    b"\x1aE\xdf\xa3",
    b"GIF89a",
    b"G" + bytes(187) + b"G",
    b"#EXTM3U\n",
)
QUERIES = ("", "", "?labels=hes3", "?min_face=-1", "?top_k=" + "9" * 50, "?%00=%ff", "?model=..")

#: Time after which the service has given freed memory back, which it does every 10 s.
_QUIET_S = 13.0
#: What uvicorn says, with a trace, of a text that a client sends.
_NOT_UTF8 = "Invalid UTF-8 sequence received from client."


def random_body(rng: random.Random) -> bytes:
    """Returns noise, or noise in the clothes of multipart or JSON."""
    body = rng.randbytes(rng.choice((0, 1, 10, 300, 5000, 50_000)))
    if rng.random() < 0.5:
        body = rng.choice((damaged, huge, clip))(rng, body)
    kind = rng.random()
    if kind < 0.4:
        return (
            part(body)
            if rng.random() < 0.5
            else part(body)[:-9] + rng.choice((b"\r\n--b--\r\n", b"", b"\r\n--b\r\n", b"--b--"))
        )
    if kind < 0.6:
        return b'{"images": [' + body[:50] + rng.choice((b"]}", b"", b"[" * 9999, b'{"data": "'))
    return body


def random_picture(rng: random.Random) -> bytes:
    """Returns a picture, or what pretends to be one."""
    noise = rng.randbytes(rng.choice((0, 1, 10, 300, 5000, 50_000)))
    make = rng.choice((lambda *_: PHOTO, lambda _, noise: noise, damaged, huge))
    return make(rng, noise)


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes, kind: str
) -> int:
    """Returns the status of an answer; of the clips that are taken, half are deleted at once."""
    connection.request(method, path, body, {"content-type": kind} if kind else {})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status == 202 and sum(content) % 2:
        ask(connection, "DELETE", f"/v1/clips/{json.loads(content)['id']}", b"", "")
    return answer.status


def part(data: bytes) -> bytes:
    """Returns a multipart body with one picture."""
    head = b'--b\r\nContent-Disposition: form-data; name="images"\r\n\r\n'
    return head + data + b"\r\n--b--\r\n"


def animation() -> bytes:
    """Returns a clip: the photo, small and smaller."""
    out = io.BytesIO()
    with Image.open(SAMPLE) as photo:
        first, *rest = (photo.resize((128, 128)).rotate(turn) for turn in (0, 3, 6))
    first.save(out, "GIF", save_all=True, append_images=rest, duration=100)
    return out.getvalue()


def damaged(rng: random.Random, noise: bytes) -> bytes:
    """Returns the photo cut short, or with noise in it."""
    at = rng.randrange(len(PHOTO))
    return PHOTO[:at] + (noise[:300] + PHOTO[at + 300 :] if rng.random() < 0.5 else b"")


def huge(rng: random.Random, noise: bytes) -> bytes:
    """Returns a PNG that claims up to 2^31 pixels a side."""
    sides = struct.pack(">II", *(2 ** rng.randrange(8, 32) - 1 for _ in range(2)))
    head = b"IHDR" + sides + b"\x08\x02\x00\x00\x00"
    packed = zlib.compress(noise)
    chunks = [(head, 13), (b"IDAT" + packed, len(packed)), (b"IEND", 0)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", size) + data + struct.pack(">I", zlib.crc32(data))
        for data, size in chunks
    )


def clip(rng: random.Random, noise: bytes) -> bytes:
    """Returns noise that begins like a clip."""
    return rng.choice(CLIPS) + noise


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    moving = animation()
    rng = random.Random(given.seed)
    statuses: Counter[int] = Counter()
    ends: Counter[str] = Counter()
    slowest, faults = 0.0, 0
    with running("--detector", "none", "--keep-clip-s", "2") as service:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
        start_mb, course = 0.0, list[str]()
        for path in POSTED:
            kind = "application/octet-stream" if path == "/v1/clips" else KINDS[1]
            ask(connection, "POST", path, moving if path == "/v1/clips" else part(PHOTO), kind)
        for message in MESSAGES:
            attack(service.port, rng, random_picture, message=message)
        for turn in range(given.count):
            start = time.perf_counter()
            if rng.random() < 0.1:
                end = attack(service.port, rng, random_picture)
                ends[end] += 1
                faults += is_fault(end)
            else:
                method = rng.choice(("POST",) * 7 + ("PUT", "GET", "DELETE"))
                path = rng.choice(PATHS) + rng.choice(QUERIES)
                status = ask(connection, method, path, random_body(rng), rng.choice(KINDS))
                statuses[status] += 1
                # 503 says that four clips are held already, and is for clips only.
                faults += status >= 500 and not (status == 503 and path.startswith("/v1/clips"))
            slowest = max(slowest, time.perf_counter() - start)
            if turn == 200:
                time.sleep(_QUIET_S)
                start_mb = service.memory_mb[-1][1]
            elif turn % (1 + given.count // 10) == 0:
                course.append(f"{service.memory_mb[-1][1]:.0f}")
        time.sleep(_QUIET_S)
        peak_mb = max(size for _, size in service.memory_mb)
        end_mb = service.memory_mb[-1][1]
        code = service.stop()
        lines = [line for line in service.lines() if "trace" in line]
        traces = [line["trace"] for line in lines if line["event"] != _NOT_UTF8]
    print(f"{given.count} requests: {dict(sorted(statuses.items()))}")
    print(f"streams among them: {dict(sorted(ends.items()))}")
    print(f"traces in the log: {len(traces)}", *traces[:1])
    print(f"slowest answer: {slowest * 1000:.0f} ms")
    print(
        f"memory: {start_mb:.0f} MB at the start, {peak_mb:.0f} at most, {end_mb:.0f} at the end: "
        f"{end_mb / start_mb - 1:+.1%}"
    )
    print(f"on the way: {' '.join(course)} MB")
    good = faults == 0 and not traces and end_mb <= 1.2 * start_mb and code == 0
    print("kept" if good else "BROKEN")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
