from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from mien.models import create_model
from mien.training.config import TrainConfig
from mien.training.stages import UnfreezeSchedule


def _thaw(**values: Any) -> UnfreezeSchedule:
    config = TrainConfig(**{"epochs": 10, "weights": "w.safetensors", **values})
    return UnfreezeSchedule(create_model("mienet_test", num_classes=3), config)


def test_frozen_batch_norms_keep_their_statistics() -> None:
    x = torch.randn(8, 1, 48, 48)
    for values, stays in (
        ({"freeze": "features"}, True), ({"freeze_bn": True}, True), ({}, False),
    ):  # fmt: skip
        schedule = _thaw(**values)
        schedule.apply(0)
        before = schedule.network.stem[1].running_mean.clone()  # type: ignore[index,union-attr]
        schedule.network(x).sum().backward()
        after = schedule.network.stem[1].running_mean  # type: ignore[index,union-attr]
        assert torch.equal(before, after) is stays, values
    schedule = _thaw(freeze_bn=True)
    schedule.apply(0)
    trains = {n: p.requires_grad for n, p in schedule.network.named_parameters()}
    assert not trains["stem.1.weight"]
    assert trains["stem.0.weight"]
