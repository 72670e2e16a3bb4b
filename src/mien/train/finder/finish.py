"""What follows a training: the exported folder, and the comparison with other detectors."""

from __future__ import annotations

import json
from functools import partial
from itertools import product
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.atomic import write_text
from mien.faces import Framing, get_detector
from mien.faces.finder import FinderDetector
from mien.faces.finder_config import FOLDER, NETWORK, FinderConfig
from mien.faces.yunet import YuNetDetector
from mien.timing import in_turns
from mien.train.finder.config import load_finder_recipe
from mien.train.finder.evaluate import (
    LEVEL,
    compare_composed,
    compare_scenes,
    landmark_errors,
)
from mien.train.finder.export import write_finder_config, write_folder
from mien.train.finder.latency import network_latency
from mien.train.finder.report import render
from mien.train.finder.run import ARGS, WEIGHTS, read_pool
from mien.train.finder.teachers import UltraFaceDetector
from mien.train.finder.tune import choose_threshold, measure_framing
from mien.train.finder.weights import load_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mien.faces import FaceDetector
    from mien.train.finder.pool import Pool

#: The score from which each detector reports unless told otherwise.
_USUAL = {"yunet": 0.7, "ultraface": 0.7, "haar": 0.0}
_LOW = 0.02
_SINGLE = ((320, 320), (480, 640))


def held_out_pool(run: Path, recipe: Path | None) -> Pool:
    """Reads the held-out scenes of a run."""
    return read_pool(load_finder_recipe(run / ARGS if recipe is None else recipe), held=True)


def export_run(
    run: Path,
    output: Path,
    *,
    recipe: Path | None,
    ruler: str,
    alarms: float,
    least: float,
    terms: str,
    data: str,
    overwrite: bool,
) -> str:
    """Exports a run; returns what was written, in words.

    Raises:
        MienError: If the run, its data or the ruler cannot be used.
    """
    network = load_weights(run / WEIGHTS)
    pool = held_out_pool(run, recipe)
    start = FinderConfig(min_score=least, framing=Framing(), license=terms, data=data)
    config, difference = write_folder(network, output, start, overwrite=overwrite)
    low = FinderDetector(output, min_score=_LOW)
    threshold = choose_threshold(low, pool.scenes["animals"], alarms=alarms, least=least)
    # Rounded up: below it there may be one more alarm.
    config = write_finder_config(output, config, min_score=ceil(threshold * 1e4) / 1e4)
    framing, overlap = measure_framing(
        FinderDetector(output), get_detector(ruler), pool.scenes["portraits"]
    )
    write_finder_config(output, config, framing=framing)
    return (
        f"{output / NETWORK}  {(output / NETWORK).stat().st_size:,} bytes\n"
        f"parity: largest difference between torch and ONNX Runtime {difference:.1e}\n"
        f"threshold {threshold:.4f}; {framing}, whose crops overlap the ruler's by {overlap:.3f}"
    )


def _contestants(
    folder: Path, yunet: Path, ultraface: Path
) -> tuple[dict[str, FaceDetector], dict[str, float]]:
    config = FinderDetector(folder).config
    own = {**_USUAL, "mien": config.min_score, "mien:fine": config.min_score}
    detectors: dict[str, FaceDetector] = {
        "mien": FinderDetector(folder, min_score=_LOW),
        "mien:fine": FinderDetector(folder, min_score=_LOW, fine=True),
        "yunet": YuNetDetector(yunet, min_score=0.1),
        "ultraface": UltraFaceDetector(ultraface, min_score=0.3),
        "haar": get_detector("haar"),
    }
    if config.verify is not None:
        detectors["mien:verify"] = FinderDetector(folder, min_score=_LOW, verify=True)
        own["mien:verify"] = config.verify.min_score
    return detectors, own


def _latency(folder: Path, yunet: Path) -> dict[str, dict[str, float]]:
    files = {"mien": folder / NETWORK, "yunet": yunet}
    rows = {}
    for height, width in _SINGLE:
        for threads in (1, 2):
            title = f"network, {width}x{height}, {threads} thread{'s'[: threads - 1]}"
            rows[title] = network_latency(files, height, width, threads=threads)
    photo = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    mien = FinderDetector(folder, threads=2)
    detectors: dict[str, FaceDetector] = {
        "mien": mien,
        "mien:fine": FinderDetector(folder, threads=2, fine=True),
        "yunet": YuNetDetector(yunet, threads=2),
    }
    if mien.config.verify is not None:
        detectors["mien:verify"] = FinderDetector(folder, threads=2, verify=True)
    runs = {name: partial(detector.detect, photo) for name, detector in detectors.items()}
    rows["detect, 640x480, 2 threads"] = in_turns(runs, 50)
    return rows


def evaluate_run(
    run: Path,
    *,
    recipe: Path | None,
    folder: Path | None,
    yunet: Path,
    ultraface: Path,
    composed: int,
    output: Path | None,
    progress: Callable[[int], None] | None = None,
) -> str:
    """Compares the exported detector with others; returns Markdown tables.

    Raises:
        MienError: If the run, its data or a detector cannot be used.
    """
    place = FOLDER if folder is None else folder
    pool = held_out_pool(run, recipe)
    detectors, thresholds = _contestants(place, yunet, ultraface)
    scenes = compare_scenes(detectors, pool, thresholds, progress)
    # On composed scenes each reports at the score that gave equal alarms on the real ones.
    equal = {name: scenes[name]["equal"][str(LEVEL)]["threshold"] for name in detectors}
    marks: dict[str, Any] = {}
    for name, largest in product(("mien", "yunet"), (False, True)):
        errors = landmark_errors(detectors[name], pool.scenes["portraits"], largest=largest)
        low, high = np.percentile(errors, [50, 90])
        marks[f"{name}, the sitter's face" if largest else f"{name}, every face"] = {
            "faces": len(errors), "mean": float(errors.mean()), "median": float(low),
            "p90": float(high),
        }  # fmt: skip
    result = {
        "scenes": scenes,
        "composed": compare_composed(detectors, pool, equal, composed),
        "landmarks": marks,
        "latency": _latency(place, yunet),
    }
    if output is not None:
        write_text(output, json.dumps(result, indent=2) + "\n")
    return render(result)
