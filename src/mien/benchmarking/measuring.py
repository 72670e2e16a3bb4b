"""The measurements of one or several recognizers, always in turns."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.backends.session import Session
from mien.benchmarking.timing import Spread, times_in_turns
from mien.hub import ONNX
from mien.images import decode
from mien.preprocess import normalize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mien.arrays import U8
    from mien.benchmarking.config import BenchmarkConfig
    from mien.recognizer import EmotionRecognizer

#: In the order in which a photo goes through them.
STAGES = ("decode", "detect", "crop", "inference", "draw")


def measure_photos(
    recognizers: Sequence[EmotionRecognizer], photos: Sequence[Path], config: BenchmarkConfig
) -> list[dict[str, Spread]]:
    """Reads photos from their files to their results, the recognizers in turns: ms by stage.

    ``total`` goes from path to result by the clock around it, with ``decode``, ``detect``, ``crop``
    and ``inference`` inside; ``draw``, the result drawn onto the photo, is not in it.
    """
    times: list[dict[str, list[float]]] = [
        {name: [] for name in ("total", *STAGES)} for _ in recognizers
    ]
    for number in range(-config.warm_up, max(config.repeats, len(photos))):
        photo = photos[number % len(photos)]
        image_rgb = decode(photo)
        for recognizer, found in zip(recognizers, times, strict=True):
            start = time.perf_counter()
            result = recognizer.predict(photo)
            answered = time.perf_counter()
            result.draw(image_rgb)
            drawn = time.perf_counter()
            took = {"total": 1e3 * (answered - start), "draw": 1e3 * (drawn - answered)}
            if number >= 0:
                for stage, value in {**took, **result.timings_ms}.items():
                    found[stage].append(value)
    return [{name: Spread.of(values) for name, values in found.items()} for found in times]


def measure_throughput(
    recognizers: Sequence[EmotionRecognizer], config: BenchmarkConfig
) -> list[list[dict[str, Any]]]:
    """Runs ready crops through the networks, by threads and batch size.

    ``crops_per_second`` holds normalisation, but neither decoding nor detection.
    """
    rows: list[list[dict[str, Any]]] = [[] for _ in recognizers]
    for threads in config.threads:
        runs = {}
        for index, recognizer in enumerate(recognizers):
            run = _network(recognizer, threads)
            for size in config.batch_sizes:
                runs[f"{index} {size}"] = partial(run, _crops(recognizer, size))
        times = times_in_turns(runs, config.rounds, warm_up=config.warm_up)
        for index, found in enumerate(rows):
            for size in config.batch_sizes:
                speed = Spread.of(1e3 * size / value for value in times[f"{index} {size}"])
                found.append({"threads": threads, "batch_size": size, "crops_per_second": speed})
    return rows


def measure_overhead(
    recognizer: EmotionRecognizer, config: BenchmarkConfig
) -> list[dict[str, Any]]:
    """Compares ``predict_faces`` with the bare session on the same batch, in turns, by batch size.

    ``predict_faces`` starts from colour pictures of the model's size and ends with probabilities;
    the session gets crops normalised already. ``ratio`` is the session's time over that of
    ``predict_faces``: the share of the session's speed that is kept.
    """
    session = Session(recognizer.folder.file(ONNX))
    name = session.inputs[0].name
    p = recognizer.config.preprocessing
    rows = []
    for size in config.batch_sizes:
        faces = _noise(size, p.size, p.size, 3)
        batch = normalize(_crops(recognizer, size), p)
        runs: dict[str, Callable[[], Any]] = {
            "mien": partial(recognizer.predict_faces, list(faces)),
            "session": partial(session.run, ["logits"], {name: batch}),
        }
        times = times_in_turns(runs, config.rounds, warm_up=config.warm_up)
        ratios = np.divide(times["session"], times["mien"])
        rows.append({"batch_size": size, "ratio": Spread.of(ratios)})
    return rows


def _noise(*shape: int) -> U8:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _crops(recognizer: EmotionRecognizer, count: int) -> U8:
    p = recognizer.config.preprocessing
    return _noise(count, p.size, p.size, p.channels)


def _network(recognizer: EmotionRecognizer, threads: int) -> Callable[[U8], Any]:
    """Returns what normalises ready crops and runs the network on them."""
    session = Session(recognizer.folder.file(ONNX), threads=threads)
    name, p = session.inputs[0].name, recognizer.config.preprocessing
    return lambda crops: session.run(["logits"], {name: normalize(crops, p)})
