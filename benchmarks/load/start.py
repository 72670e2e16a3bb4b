"""How long a service takes to be ready, and whether its first answer is as quick as later ones.

For one process with one model and with more: seconds from the start of the process to the first
``/readyz`` that says yes, memory then, and the time of each model's first photo and of later ones.

Usage: ``python benchmarks/load/start.py [MODEL...]`` (names or folders; none: the default one).
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time

from overload import Lines, photo_request
from service import SAMPLE, Service


async def ask(port: int, name: str, count: int) -> list[float]:
    """Returns the seconds of so many answers of a model, one after the other."""
    lines = Lines(port)
    request = photo_request(SAMPLE).replace(
        b"/v1/predict", b"/v1/predict?model=" + name.encode(), 1
    )
    answers = [await lines.ask(request) for _ in range(count)]
    if {status for status, _ in answers} != {200}:
        raise RuntimeError(f"not answered: {answers}")
    return [took_s for _, took_s in answers]


def measure(models: list[str]) -> None:
    """Starts a service with these models and prints its figures."""
    names = [f"m{index}" for index in range(len(models))] or ["default"]
    flags = [f"--model={name}={model}" for name, model in zip(names, models, strict=False)]
    start = time.perf_counter()
    service = Service(*flags)
    ready_s = time.perf_counter() - start
    try:
        time.sleep(1.5)
        print(
            f"{len(names)} model(s): ready after {ready_s:.2f} s, {service.memory_mb[-1][1]:.0f} MB"
        )
        for name in names:
            first_s, *later_s = asyncio.run(ask(service.port, name, 21))
            later = statistics.median(later_s) * 1000
            print(f"  {name}: first photo {first_s * 1000:.0f} ms, then {later:.0f} ms")
    finally:
        service.stop()


if __name__ == "__main__":
    given = sys.argv[1:]
    for many in range(1, max(len(given), 1) + 1):
        measure(given[:many])
