from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from mien.errors import ConfigError
from mien.models import create_model
from mien.training.config import TrainConfig
from mien.training.stages import UnfreezeSchedule, stage_names


def _thaw(**values: Any) -> UnfreezeSchedule:
    config = TrainConfig(**{"epochs": 10, "weights": "w.safetensors", **values})
    return UnfreezeSchedule(create_model("mienet_test", num_classes=3), config)


def _training(schedule: UnfreezeSchedule) -> list[bool]:
    """Whether each stage has gradients, earliest first."""
    wanted = dict(schedule.network.named_parameters())
    return [all(wanted[name].requires_grad for name in stage) for stage in schedule.stages]


def test_stages_hold_every_parameter_once() -> None:
    network = create_model("mienet_test", num_classes=3)
    names = [name for stage in stage_names(network) for name in stage]
    assert sorted(names) == sorted(name for name, _ in network.named_parameters())
    assert len(names) == len(set(names))


def test_parameters_outside_of_layers_are_the_first_stage() -> None:
    class WithToken(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = torch.nn.Parameter(torch.zeros(1))
            self.blocks = torch.nn.ModuleList(
                torch.nn.Sequential(torch.nn.Linear(2, 2)) for _ in range(2)
            )
            self.head = torch.nn.Linear(2, 2)

    stages = stage_names(WithToken())
    assert stages[0] == ["token"]
    assert [stage[0] for stage in stages[1:]] == ["blocks.0.0.weight", "blocks.1.0.weight",
                                                  "head.weight"]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "free"),
    [
        ({}, {0: 5, 9: 5}),
        ({"freeze": "features"}, {0: 1, 9: 1}),
        ({"freeze": "features", "freeze_epochs": 2}, {0: 1, 1: 1, 2: 5}),
        ({"freeze": "features", "freeze_epochs": 2, "unfreeze": 1}, {1: 1, 2: 2, 3: 3, 8: 5}),
    ],
)
def test_stages_are_freed_from_the_head_on(values: dict[str, object], free: dict[int, int]) -> None:
    schedule = _thaw(**values)
    for epoch, count in free.items():
        assert schedule.free_stages(epoch) == count
        schedule.apply(epoch)
        assert _training(schedule) == [False] * (5 - count) + [True] * count


def test_a_network_without_a_head_cannot_freeze_its_features() -> None:
    config = TrainConfig(freeze="features", weights="w.safetensors")
    with pytest.raises(ConfigError, match="head"):
        UnfreezeSchedule(torch.nn.Sequential(torch.nn.Linear(2, 2)), config)
