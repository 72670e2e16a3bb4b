"""Slow clients and honest ones: who announces and does not send keeps nobody else out.

All at once, from addresses of the loopback: headers that trickle, bodies that are announced and
stall, and honest users who send one photo after the other, each from an address of its own. First
the honest users are alone, then together with the slow ones. Exit code 1 if an honest request is
refused or p99 is above eight times p50.

Usage: ``python benchmarks/load/stalled.py --seconds 10 -- FLAGS OF MIEN SERVE``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import re
import sys
import time
from collections import Counter
from pathlib import Path

from overload import photo_request, quantile
from service import SAMPLE, running

_SLOW_HEADERS = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\n"
_SLOW_BODY = (
    b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    b"Content-Length: 500000\r\n\r\n--b\r\n"
)


async def stall(port: int, address: str, head: bytes, end: float, seen: Counter[int]) -> None:
    """Sends a beginning, then a byte per second; a second after it is cut off, it begins again."""
    while time.perf_counter() < end:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, local_addr=(address, 0)
            )
            writer.write(head)
            answer = asyncio.ensure_future(reader.readuntil(b"\r\n"))
            while time.perf_counter() < end and not answer.done():
                await asyncio.wait([answer], timeout=1)
                writer.write(b"x")
            if answer.done():
                seen[int(answer.result()[9:12])] += 1
            answer.cancel()
            writer.close()
        await asyncio.sleep(1)


async def honest(
    port: int, address: str, request: bytes, end: float, pause_s: float,
    answers: list[tuple[int, float]],
) -> None:  # fmt: skip
    """Sends one photo after the other; notes status (0: no answer) and seconds."""
    await asyncio.sleep(random.uniform(0, pause_s))
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    while time.perf_counter() < end:
        start, status = time.perf_counter(), 0
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head.lower())
            await reader.readexactly(int(length.group(1)) if length else 0)
            status = int(head[9:12])
        finally:
            answers.append((status, time.perf_counter() - start))
        await asyncio.sleep(random.uniform(0.5, 1.5) * pause_s)
    writer.close()


async def measure(
    port: int,
    request: bytes,
    seconds: float,
    *,
    users: int,
    headers: int,
    bodies: int,
    pause_s: float = 0.0,
) -> tuple[list[tuple[int, float]], Counter[int]]:
    """Returns the answers of the honest users, and the statuses that stalled bodies got."""
    end = time.perf_counter() + seconds
    answers: list[tuple[int, float]] = []
    cut: Counter[int] = Counter()
    slow = [stall(port, "127.0.1.1", _SLOW_HEADERS, end, Counter()) for _ in range(headers)]
    slow += [stall(port, "127.0.1.2", _SLOW_BODY, end, cut) for _ in range(bodies)]
    slow_tasks = [asyncio.ensure_future(one) for one in slow]
    if slow_tasks:
        await asyncio.sleep(1)
    good = (
        honest(port, f"127.0.2.{1 + user}", request, end, pause_s, answers) for user in range(users)
    )
    await asyncio.gather(*good, return_exceptions=True)
    await asyncio.gather(*slow_tasks, return_exceptions=True)
    return answers, cut


def report(name: str, answers: list[tuple[int, float]], seconds: float) -> tuple[int, float]:
    """Prints how the honest users fared; returns refused requests, and p99 / p50."""
    took = [took_s for status, took_s in answers if status == 200]
    p50, p99 = quantile(took, 0.5), quantile(took, 0.99)
    refused = len(answers) - len(took)
    print(
        f"{name}: {len(answers)} requests, {refused} refused, {len(took) / seconds:.0f}/s, "
        f"p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, p99 / p50 {p99 / p50:.2f}"
    )
    return refused, p99 / p50


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photo", type=Path, default=SAMPLE)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each part")
    parser.add_argument("--width", type=int, default=640, help="of the photo, pixels")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between a user's photos")
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--headers", type=int, default=300)
    parser.add_argument("--bodies", type=int, default=200)
    parser.add_argument("serve", nargs="*", help="flags of mien serve, after --")
    given = parser.parse_args()
    request, seconds = photo_request(given.photo, given.width), given.seconds
    honest_users = {"users": given.users, "pause_s": given.pause}
    crowd = {"headers": given.headers, "bodies": given.bodies}
    with running(*given.serve) as service:
        alone, _ = asyncio.run(
            measure(service.port, request, seconds, **honest_users, headers=0, bodies=0)
        )
        report("alone", alone, seconds)
        together, cut = asyncio.run(
            measure(service.port, request, seconds, **honest_users, **crowd)
        )
        refused, ratio = report(f"with {crowd}", together, seconds - 1)
        print(f"stalled bodies were answered: {dict(cut)}")
    kept = bool(together) and refused == 0 and ratio <= 8
    print("kept" if kept else "BROKEN")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
