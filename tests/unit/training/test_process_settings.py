"""A training leaves the process of its caller as it was."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from mien.training.config import TrainConfig
from mien.training.distributed.processes import SINGLE, process_settings


def test_numbers_of_the_named_gpu_go_on_too(monkeypatch: pytest.MonkeyPatch) -> None:
    forked: list[list[int]] = []

    def fork(devices: list[int]) -> Any:
        forked.append(devices)
        return nullcontext()

    monkeypatch.setattr(torch.random, "fork_rng", fork)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    for device in ("cuda", "cuda:1"):
        with process_settings(TrainConfig(device=device), SINGLE):
            pass
    assert forked == [[0], [1]]
