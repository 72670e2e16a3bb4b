"""Random bodies under all kinds of content types: never a 5xx, never a hang, memory flat.

Usage: ``python benchmarks/load/random_bodies.py --count 10000``.
Exit code 1 if a promise is broken.
"""

from __future__ import annotations

import argparse
import http.client
import random
import sys
import time
from collections import Counter

from service import running

KINDS = (
    "application/json", "multipart/form-data; boundary=b", "multipart/form-data", "text/plain",
    "image/png", "", "multipart/form-data; boundary=" + "b" * 300,
)  # fmt: skip
PATHS = ("/v1/predict", "/v1/predict/faces", "/v1/explain", "/v1/models", "/metrics", "/")
QUERIES = ("", "", "?labels=hes3", "?min_face=-1", "?top_k=" + "9" * 50, "?%00=%ff", "?model=..")


def random_body(rng: random.Random) -> bytes:
    """Returns noise, or noise in the clothes of multipart or JSON."""
    body = rng.randbytes(rng.choice((0, 1, 10, 300, 5000, 50_000)))
    kind = rng.random()
    if kind < 0.4:
        body = b'--b\r\nContent-Disposition: form-data; name="images"\r\n\r\n' + body
        return body + rng.choice((b"\r\n--b--\r\n", b"", b"\r\n--b\r\n", b"--b--"))
    if kind < 0.6:
        return b'{"images": [' + body[:50] + rng.choice((b"]}", b"", b"[" * 9999, b'{"data": "'))
    return body


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    statuses: Counter[int] = Counter()
    slowest = 0.0
    with running("--detector", "none") as service:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
        start_mb = 0.0
        for turn in range(given.count):
            kind = rng.choice(KINDS)
            start = time.perf_counter()
            connection.request(
                rng.choice(("POST", "POST", "POST", "PUT", "GET")),
                rng.choice(PATHS) + rng.choice(QUERIES),
                random_body(rng),
                {"content-type": kind} if kind else {},
            )
            answer = connection.getresponse()
            answer.read()
            statuses[answer.status] += 1
            slowest = max(slowest, time.perf_counter() - start)
            if turn == given.count // 5:
                start_mb = service.memory_mb[-1][1]
        time.sleep(1.5)
        end_mb = service.memory_mb[-1][1]
        code = service.stop()
    print(f"{given.count} requests: {dict(sorted(statuses.items()))}")
    print(f"slowest answer: {slowest * 1000:.0f} ms")
    print(f"memory: {start_mb:.0f} MB after a fifth, {end_mb:.0f} MB at the end")
    good = all(status < 500 for status in statuses) and end_mb < 1.1 * start_mb and code == 0
    print("kept" if good else "BROKEN")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
