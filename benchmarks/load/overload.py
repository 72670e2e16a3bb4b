"""Ten times the sustainable load, and what becomes of it.

First the sustainable rate is measured with a few users in a closed loop. Then requests start at
ten times that rate, each on time whatever became of the others, for some seconds; then it is
quiet and the recovery is measured. Prints what the accepted took, how soon the others got their
503, and when the service was itself again. Exit code 1 if a promise is broken.

Usage: ``python benchmarks/load/overload.py --seconds 10 -- FLAGS OF MIEN SERVE``.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import sys
import time
from pathlib import Path

from PIL import Image
from service import SAMPLE, running

DEADLINE_S = 5.0


def photo_request(path: Path, width: int = 640) -> bytes:
    """Returns a whole HTTP request with a photo of so many pixels, 4:3."""
    import io

    out = io.BytesIO()
    Image.open(path).convert("RGB").resize((width, width * 3 // 4)).save(out, "JPEG")
    body = b'--b\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'
    body += out.getvalue() + b"\r\n--b--\r\n"
    head = (
        "POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Lines:
    """Open connections to lend, so that a request costs no new one."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, request: bytes) -> tuple[int, float]:
        """Sends a request; returns status (0: no answer) and seconds."""
        start = time.perf_counter()
        try:
            reader, writer = (
                self._free.pop()
                if self._free
                else await asyncio.open_connection("127.0.0.1", self._port)
            )
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head.lower())
            await reader.readexactly(int(length.group(1)) if length else 0)
        except (OSError, asyncio.IncompleteReadError):
            return 0, time.perf_counter() - start
        took = time.perf_counter() - start
        self._free.append((reader, writer))
        return int(head[9:12]), took


async def sustainable(lines: Lines, request: bytes, seconds: float) -> tuple[float, float]:
    """Returns answers a second of four users in a closed loop, and their median seconds."""
    end = time.perf_counter() + seconds
    took: list[float] = []

    async def user() -> None:
        while time.perf_counter() < end:
            status, took_s = await lines.ask(request)
            if status == 200:
                took.append(took_s)

    await asyncio.gather(*(user() for _ in range(4)))
    return len(took) / seconds, statistics.median(took)


async def flood(
    lines: Lines, request: bytes, rate: float, seconds: float
) -> tuple[list[tuple[int, float]], float]:
    """Starts requests at a rate; returns (status, seconds) of each, and the real rate."""
    tasks = []
    start = time.perf_counter()
    while (now := time.perf_counter() - start) < seconds:
        due = int(now * rate) - len(tasks)
        tasks += [asyncio.create_task(lines.ask(request)) for _ in range(due)]
        await asyncio.sleep(0.002)
    real = len(tasks) / (time.perf_counter() - start)
    return list(await asyncio.gather(*tasks)), real


async def recovery(lines: Lines, request: bytes, normal_s: float) -> float:
    """Returns seconds until a request is accepted and takes at most three times the normal."""
    start = time.perf_counter()
    while time.perf_counter() - start < 30:
        status, took_s = await lines.ask(request)
        if status == 200 and took_s <= 3 * normal_s:
            break
        await asyncio.sleep(0.05)
    return time.perf_counter() - start


def quantile(values: list[float], share: float) -> float:
    """Returns the value below which that share lies; nan without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


async def measure(port: int, request: bytes, factor: float, seconds: float) -> bool:
    lines = Lines(port)
    await sustainable(lines, request, 2)
    rate, normal_s = await sustainable(lines, request, 5)
    print(f"sustainable: {rate:.1f} photos/s, median {normal_s * 1000:.0f} ms")
    answers, real = await flood(lines, request, factor * rate, seconds)
    back_s = await recovery(lines, request, normal_s)
    by_status: dict[int, list[float]] = {}
    for status, took_s in answers:
        by_status.setdefault(status, []).append(took_s)
    print(f"offered: {real:.0f}/s = {real / rate:.1f} times, {seconds:g} s")
    for status, took in sorted(by_status.items()):
        print(
            f"status {status}: {len(took)}, p50 {quantile(took, 0.5) * 1000:.0f} ms, "
            f"p99 {quantile(took, 0.99) * 1000:.0f} ms, longest {max(took) * 1000:.0f} ms"
        )
    accepted, refused = by_status.get(200, []), by_status.get(503, [])
    print(f"recovered after {back_s:.2f} s")
    kept = {
        f"accepted within the deadline of {DEADLINE_S:g} s": max(accepted) <= DEADLINE_S,
        "99 % of the 503 within 100 ms": quantile(refused, 0.99) <= 0.1,
        "nothing but 200 and 503": set(by_status) <= {200, 503},
        "recovered within 5 s": back_s <= 5,
    }
    for promise, good in kept.items():
        print(f"{'kept' if good else 'BROKEN'}: {promise}")
    return all(kept.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photo", type=Path, default=SAMPLE)
    parser.add_argument("--seconds", type=float, default=10.0, help="at most 60")
    parser.add_argument("--factor", type=float, default=10.0)
    parser.add_argument("serve", nargs="*", help="flags of mien serve, after --")
    given = parser.parse_args()
    # All come from one address here, and many of their connections are idle at once.
    flags = ["--deadline-s", str(DEADLINE_S), "--max-idle", "0", *given.serve]
    with running(*flags) as service:
        request = photo_request(given.photo)
        good = asyncio.run(measure(service.port, request, given.factor, min(given.seconds, 60)))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
