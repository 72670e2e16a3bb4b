"""What a run costs: size, operations, milliseconds, minutes of training."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.benchmarking.timing import time_networks
from mien.errors import MienError
from mien.preprocess import normalize

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mien.hub import ModelConfig, ModelFolder
    from mien.recognizer import EmotionRecognizer


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
    size = folder.file("model.onnx").stat().st_size
    return RunCosts(*_count(folder.config), size, *_training(folder))


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
        from mien.models.registry import count_macs, count_parameters
    except ImportError:
        return None, None
    parameters = macs = 0
    for part in parts:
        shape, options = part["input_size"], {"num_classes": len(config.schema)}
        options |= {"in_channels": shape[0], **part["model_args"]}
        try:
            network = create_model(part["architecture"], **options)
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
    rng, networks = np.random.default_rng(0), {}
    for index, recognizer in enumerate(recognizers):
        p = recognizer.config.preprocessing
        faces = rng.integers(0, 256, (32, p.size, p.size, p.channels), dtype=np.uint8)
        networks[str(index)] = recognizer.pipeline.backend, normalize(faces, p)
    return list(time_networks(networks, rounds).values())
