"""How long detectors' networks take, side by side and in turns."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mien.timing import in_turns

if TYPE_CHECKING:
    from pathlib import Path


def network_latency(
    files: dict[str, Path], height: int, width: int, *, threads: int, rounds: int = 100
) -> dict[str, float]:
    """Returns the median time of networks on one picture of noise, in ms.

    Args:
        files: ONNX files by name, each with one input (1, 3, H, W).
        height: Of the input.
        width: Of the input.
        threads: Of ONNX Runtime.
        rounds: Runs of each.
    """
    import onnxruntime

    x = np.random.default_rng(0).uniform(0, 255, (1, 3, height, width)).astype(np.float32)
    runs = {}
    for name, path in files.items():
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        feed = {session.get_inputs()[0].name: x}
        runs[name] = partial(session.run, None, feed)
    return in_turns(runs, rounds)
