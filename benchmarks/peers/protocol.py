"""What every runner speaks; the standard library only, for it runs in each peer's environment.

``RUNNER first PHOTO`` prints a first answer at once, and after twenty more the process's peak in
bytes. ``RUNNER steady PHOTO FACES.npy`` prints JSON with milliseconds per
photo and crops per second.
``RUNNER label FACES.npy`` prints JSON with a label per face, ``RUNNER scores FACES.npy`` JSON with
its labels and a row of scores per face, and crops per second of processor time.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Runner(Protocol):
    """One tool and its labels behind a few questions."""

    labels: tuple[str, ...]

    def read(self, photo: str) -> list[str]:
        """Returns the emotions of a photo's faces."""

    def scores(self, faces: Any) -> Any:
        """Returns a score for each face and label, (N, K), of faces uint8 (N, 48, 48)."""


def peak_bytes() -> int:
    """Returns the most memory this process held; ru_maxrss would outlive exec on Linux."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak


def times_ms(call: Callable[[], Any], repeats: int, warm_up: int = 3) -> list[float]:
    """Returns how long each call took."""
    times = []
    for _ in range(warm_up + repeats):
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return times[warm_up:]


def serve(make: Callable[..., Runner]) -> None:
    """Answers the command line; ``make`` opens the tool and is where its imports stand."""
    parser = argparse.ArgumentParser()
    parser.add_argument("question", choices=("first", "steady", "label", "scores"))
    parser.add_argument("inputs", nargs="+")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--model", default=None)
    given = parser.parse_args()
    options = {"model": given.model} if given.model else {}
    runner = make(**options)
    if given.question == "first":
        print(" ".join(runner.read(given.inputs[0])) or "no face", flush=True)
        for _ in range(20):
            runner.read(given.inputs[0])
        print(peak_bytes(), flush=True)
        return
    import numpy as np

    faces = np.load(given.inputs[-1])
    if given.question == "label":
        print(json.dumps([runner.labels[k] for k in runner.scores(faces).argmax(axis=1)]))
        return
    if given.question == "scores":
        start = time.process_time()
        found = runner.scores(faces)
        rate = len(faces) / (time.process_time() - start)
        answer = {"labels": runner.labels, "scores": found.tolist(), "crops_per_second": rate}
        print(json.dumps(answer))
        return
    photo = given.inputs[0]
    crops = times_ms(lambda: runner.scores(faces), max(given.repeats // 4, 3), warm_up=1)
    answer = {
        "answers": runner.read(photo),
        "photo_ms": times_ms(lambda: runner.read(photo), given.repeats),
        "crops_per_second": [1e3 * len(faces) / value for value in crops],
    }
    print(json.dumps(answer))
