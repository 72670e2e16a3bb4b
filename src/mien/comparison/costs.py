"""What a run costs: size, operations, milliseconds, minutes of training."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.benchmarking.timing import in_turns
from mien.errors import MienError
from mien.preprocess import normalize

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mien.hub import ModelConfig, ModelFolder
    from mien.recognizer import EmotionRecognizer

#: Faces at once in the two latencies.
BATCHES = (1, 32)


@dataclass(frozen=True)
class RunCosts:
    """What is known without running a model; None where it is not.

    Args:
        parameters: Trainable values of the network; of an ensemble their sum.
        macs: Multiply-accumulates per face.
        bytes: Size of the network file.
        epochs: Epochs trained.
        minutes: Minutes of training, validation left out.
    """

    parameters: int | None
    macs: int | None
    bytes: int
    epochs: int | None
    minutes: float | None


def read_costs(folder: ModelFolder) -> RunCosts:
    """Reads what a model folder says of its cost.

    Parameters and operations are counted where torch is installed and the architecture is known.
    """
    epochs, minutes = _training(folder)
    parameters, macs = _count(folder.config)
    size = folder.file("model.onnx").stat().st_size
    return RunCosts(parameters, macs, size, epochs, minutes)


def _training(folder: ModelFolder) -> tuple[int | None, float | None]:
    path = folder.path / "metrics.csv"
    if not path.is_file():
        return None, None
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    seconds = [float(row.get("seconds") or math.nan) for row in rows]
    total = sum(seconds) / 60
    return len(rows), total if math.isfinite(total) and rows else None


def _count(config: ModelConfig) -> tuple[int | None, int | None]:
    p = config.preprocessing
    parts: Sequence[Mapping[str, Any]] = config.model_args.get("members") or [
        {
            "architecture": config.architecture, "model_args": config.model_args,
            "input_size": [p.channels, p.size, p.size],
        }
    ]  # fmt: skip
    try:
        from mien.models import create_model
        from mien.models.counting import count_macs, count_parameters
    except ImportError:
        return None, None
    parameters = macs = 0
    for part in parts:
        shape = part["input_size"]
        try:
            network = create_model(
                part["architecture"], num_classes=len(config.schema), in_channels=shape[0],
                **part["model_args"],
            )  # fmt: skip
        except (MienError, TypeError):
            # Trained elsewhere, or by a package that is not installed here.
            return None, None
        parameters += count_parameters(network)
        macs += count_macs(network, shape)
    return parameters, macs


def measure_latency(
    recognizers: Sequence[EmotionRecognizer], *, rounds: int = 15
) -> list[tuple[float, float]]:
    """Measures the networks in turns, so that a busy moment of the machine hits all alike.

    Args:
        recognizers: The models; preprocessing is not measured.
        rounds: Turns after those to warm up.

    Returns:
        For each model the median milliseconds per face with one face and with 32 at once.
    """
    rng = np.random.default_rng(0)
    runs = {}
    for index, recognizer in enumerate(recognizers):
        p = recognizer.config.preprocessing
        shape = (max(BATCHES), p.size, p.size, p.channels)
        faces = normalize(rng.integers(0, 256, shape, dtype=np.uint8), p)
        for batch in BATCHES:
            runs[f"{index} {batch}"] = partial(recognizer.pipeline.backend.run, faces[:batch])
    times = in_turns(runs, rounds)
    return [(times[f"{index} 1"], times[f"{index} 32"] / 32) for index in range(len(recognizers))]
