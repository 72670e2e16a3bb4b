"""How much of what the stages allow a folder of photos gets, and whether memory stays flat.

Three sides take turns in one process, over the same photos:

- stages: decode, detect, crop and the network one after the other, on one thread each. Cores over
  the sum of their times is the bound: nothing waits, nothing is scheduled;
- bare: the same calls, a photo a task, on as many threads as there are cores;
- mien: ``predict_many``.

Next to the pictures per second stands the CPU time per picture: on a machine that others use too,
it says more. ``--reduced off`` decodes every photo whole. Memory is measured in a process of its
own.

Usage: ``python benchmarks/predict_folder.py PHOTO [PHOTO...] [--pictures 2000] [-o OUT.json]``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien import EmotionRecognizer
from mien import recognizer as recognizer_module
from mien.atomic import write_text
from mien.benchmarking.machine import describe_machine, machine_line
from mien.benchmarking.timing import Spread
from mien.detectors import DEFAULT_DETECTOR, get_detector

if TYPE_CHECKING:
    from collections.abc import Callable

STAGES = ("decode", "detect", "crop", "inference")
#: Pictures after which the memory is read.
MARKS = (200, 1000, 2000)


def main() -> None:
    given = _arguments()
    if given.reduced == "off":
        recognizer_module._min_side = lambda _detector: None
    if given.memory == "only":
        print(json.dumps(memory(given.photos, given.pictures)))
        return
    machine = describe_machine()
    turns = [turn(given) for _ in range(given.rounds + 1)][1:]
    value = {"format": 1, "kind": "folder", "machine": machine, **summary(turns, given)}
    value["memory_mb"] = {} if given.memory == "off" else memory_apart(given)
    show(value)
    if given.output:
        write_text(given.output, json.dumps(value, indent=2) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--detector", default=DEFAULT_DETECTOR)
    parser.add_argument("--pictures", type=int, default=64, help="pictures per turn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--reduced", choices=("on", "off"), default="on")
    parser.add_argument(
        "--memory", choices=("on", "off", "only"), default="on", help="only: print it as JSON"
    )
    parser.add_argument("-o", "--output", type=Path)
    return parser.parse_args()


def turn(given: argparse.Namespace) -> dict[str, Any]:
    """Runs the three sides once; returns pictures per second, CPU ms per picture, stages in ms."""
    pictures = [given.photos[i % len(given.photos)] for i in range(given.pictures)]
    detector = get_detector(given.detector, threads=1)
    alone = EmotionRecognizer(detector=detector, threads=1)
    mien = EmotionRecognizer(detector=given.detector)
    stages: dict[str, list[float]] = {name: [] for name in STAGES}

    def serial() -> int:
        return sum(_one(alone, path, stages) for path in given.photos)

    def bare() -> int:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return sum(pool.map(lambda path: _one(alone, path, {}), pictures))

    def folder() -> int:
        return sum(len(result.faces) for result in mien.predict_many(pictures))  # type: ignore[union-attr]

    serial()
    for values in stages.values():
        values.clear()
    _, serial_cpu, _ = _timed(serial)
    found: dict[str, Any] = {
        "stages_ms": {name: sum(values) / len(given.photos) for name, values in stages.items()},
        "stages_cpu_ms": 1e3 * serial_cpu / len(given.photos),
    }
    faces = {}
    for name, side in (("bare", bare), ("mien", folder)):
        seconds, cpu, faces[name] = _timed(side)
        found[name] = len(pictures) / seconds
        found[f"{name}_cpu_ms"] = 1e3 * cpu / len(pictures)
        found[f"{name}_cores"] = cpu / seconds
    if faces["bare"] != faces["mien"]:
        raise SystemExit(f"the sides do not find the same faces: {faces}")
    return {**found, "faces": faces["mien"]}


def _one(recognizer: EmotionRecognizer, path: Path, stages: dict[str, list[float]]) -> int:
    prepared = recognizer.pipeline.prepare(path)
    start = time.perf_counter()
    crops = prepared.crops
    if crops is not None and len(crops):
        recognizer.pipeline.logits(crops)
    times = {**prepared.timings_ms, "inference": 1e3 * (time.perf_counter() - start)}
    for name, values in stages.items():
        values.append(times[name])
    return 0 if crops is None else len(crops)


def _timed(side: Callable[[], int]) -> tuple[float, float, int]:
    start, cpu = time.perf_counter(), time.process_time()
    answer = side()
    return time.perf_counter() - start, time.process_time() - cpu, answer


def summary(turns: list[dict[str, Any]], given: argparse.Namespace) -> dict[str, Any]:
    """Returns the spreads over the turns."""
    cores = os.cpu_count() or 1
    bounds = [1e3 * cores / sum(turn["stages_ms"].values()) for turn in turns]

    def spread(values: list[float]) -> dict[str, float]:
        return Spread.of(values).to_dict()

    return {
        "photos": [path.name for path in given.photos],
        "settings": {
            "pictures": given.pictures, "rounds": given.rounds, "detector": given.detector,
            "reduced": given.reduced,
        },
        "faces": turns[0]["faces"],
        "stages_ms": {n: spread([turn["stages_ms"][n] for turn in turns]) for n in STAGES},
        "bound_per_second": spread(bounds),
        "bare_per_second": spread([turn["bare"] for turn in turns]),
        "mien_per_second": spread([turn["mien"] for turn in turns]),
        "mien_of_bound": spread([a["mien"] / b for a, b in zip(turns, bounds, strict=True)]),
        "mien_of_bare": spread([turn["mien"] / turn["bare"] for turn in turns]),
        "busy_cores": spread([turn["mien_cores"] for turn in turns]),
        "cpu_ms": {
            "stages": spread([turn["stages_cpu_ms"] for turn in turns]),
            "bare": spread([turn["bare_cpu_ms"] for turn in turns]),
            "mien": spread([turn["mien_cpu_ms"] for turn in turns]),
        },
    }  # fmt: skip


def memory_apart(given: argparse.Namespace) -> dict[str, float]:
    """Asks a fresh process, which held nothing else before."""
    command = [sys.executable, __file__, *map(str, given.photos), "--memory", "only"]
    command += ["--pictures", str(max(MARKS)), "--reduced", given.reduced]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    held: dict[str, float] = json.loads(done.stdout)
    return held


def memory(photos: list[Path], count: int) -> dict[str, float]:
    """Returns the memory held after 200, 1,000 and 2,000 pictures, in 10^6 bytes (Linux)."""
    recognizer = EmotionRecognizer()
    held = {}
    pictures = (photos[i % len(photos)] for i in range(count))
    for number, _ in enumerate(recognizer.predict_many(pictures), start=1):
        if number in MARKS:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            held[str(number)] = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return held


def show(value: dict[str, Any]) -> None:
    def text(entry: dict[str, float], digits: int = 1) -> str:
        median, low, high = (f"{entry[name]:.{digits}f}" for name in ("median", "low", "high"))
        return f"{median} ({low} to {high})"

    print("stages, ms per picture: " + ", ".join(
        f"{name} {text(entry)}" for name, entry in value["stages_ms"].items()))  # fmt: skip
    for name in ("bound", "bare", "mien"):
        print(f"{name}: {text(value[f'{name}_per_second'])} pictures/s")
    print(f"mien of the bound: {text(value['mien_of_bound'], 3)}")
    print(f"mien of bare: {text(value['mien_of_bare'], 3)}")
    print(f"cores busy: {text(value['busy_cores'], 2)} of {value['machine']['cores']}")
    print("CPU, ms per picture: " + ", ".join(
        f"{name} {text(entry)}" for name, entry in value["cpu_ms"].items()))  # fmt: skip
    print("memory, MB: " + ", ".join(
        f"{held:.0f} after {count}" for count, held in value["memory_mb"].items()))  # fmt: skip
    print(f"{value['faces']} faces in {value['settings']['pictures']} pictures; medians of "
          f"{value['settings']['rounds']} turns, quartiles in brackets")  # fmt: skip
    print(machine_line(value["machine"]))


if __name__ == "__main__":
    main()
