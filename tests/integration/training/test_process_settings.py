"""A training leaves the process of its caller as it was."""

from __future__ import annotations

import logging
import os
import signal
import sys
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from mien.errors import DataError
from mien.training.config import TrainConfig
from mien.training.run import train
from support.faces import write_folder


def _state() -> dict[str, Any]:
    return {
        "threads": torch.get_num_threads(),
        "levels": {name: logging.getLogger(name).level for name in ("", "torch", "PIL")},
        "filters": list(warnings.filters),
        "environment": dict(os.environ),
        "streams": (sys.stdout, sys.stderr),
        "path": list(sys.path),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "numbers": torch.get_rng_state().tolist(),
    }


@pytest.mark.parametrize("lr", [0.01, 1e30], ids=["done", "failed"])
def test_process_is_as_before(tmp_path: Path, lr: float) -> None:
    values: dict[str, Any] = {
        "data": f"folder:{write_folder(tmp_path / 'faces', 8)}", "model": "mienet_test",
        "epochs": 2, "warmup_epochs": 0, "batch_size": 8, "lr": lr, "threads": 3,
        "precision": "32", "device": "cpu", "seed": 5,
    }  # fmt: skip
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        before = _state()
        with nullcontext() if lr < 1 else pytest.raises(DataError, match="the loss became"):
            train(TrainConfig(**values), tmp_path / "run", progress=False)
        after = _state()
    finally:
        torch.set_num_threads(threads)
    assert {key: after[key] for key in before if after[key] != before[key]} == {}
