from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch.optim import lr_scheduler

from mien.errors import ConfigError
from mien.training.config import TrainConfig
from mien.training.optim.optimizers import (
    make_optimizer,
    make_schedule,
    parameter_groups,
    rate_factor,
    warm_up,
)


def _parameter() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor([[1.0]]))


def _config(**values: Any) -> TrainConfig:
    return TrainConfig(**{"epochs": 10, "warmup_epochs": 0, "lr": 0.1, **values})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sgd", lambda p: torch.optim.SGD([p], 0.1, momentum=0.9, nesterov=True)),
        ("momentum", lambda p: torch.optim.SGD([p], 0.1, momentum=0.9)),
        ("rmsprop", lambda p: torch.optim.RMSprop([p], 0.1, momentum=0.9)),
        ("adam", lambda p: torch.optim.Adam([p], 0.1)),
        ("adamw", lambda p: torch.optim.AdamW([p], 0.1)),
    ],
)
def test_optimizer_steps_as_torchs(
    name: str, expected: Callable[[torch.nn.Parameter], torch.optim.Optimizer]
) -> None:
    config = _config(optimizer=name, weight_decay=0)
    own, other = _parameter(), _parameter()
    reference = expected(other)
    for group in reference.param_groups:
        group["weight_decay"] = 0
    mine = make_optimizer(parameter_groups([[own]], config), config)
    for _ in range(4):
        for parameter, optimizer in ((own, mine), (other, reference)):
            optimizer.zero_grad()
            (parameter**2).sum().backward()
            optimizer.step()
    assert torch.equal(own, other)
    assert float(own.detach()) != 1


def test_groups_decay_matrices_alone_and_slow_earlier_stages() -> None:
    stages = [[torch.nn.Parameter(torch.zeros(2, 2)), torch.nn.Parameter(torch.zeros(2))]
              for _ in range(3)]  # fmt: skip
    plain = parameter_groups(stages, _config(weight_decay=0.01))
    assert [(len(g["params"]), g["weight_decay"], g["lr"]) for g in plain] == [
        (3, 0.01, 0.1), (3, 0.0, 0.1)
    ]  # fmt: skip
    slowed = parameter_groups(stages, _config(layer_decay=0.5))
    assert [g["lr"] for g in slowed] == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.025, 0.025])
    assert slowed[0]["params"][0] is stages[2][0]


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("cosine", lambda o: lr_scheduler.CosineAnnealingLR(o, 50)),
        ("step", lambda o: lr_scheduler.StepLR(o, 15, 0.3)),
        ("exponential", lambda o: lr_scheduler.ExponentialLR(o, 0.3 ** (1 / 15))),
        ("constant", lambda o: lr_scheduler.ConstantLR(o, 1.0)),
    ],
)
def test_schedule_is_torchs(name: str, reference: object) -> None:
    # 10 epochs of 5 steps, a factor every 3 epochs.
    factor = rate_factor(_config(schedule=name, decay_factor=0.3, decay_every=3), 5)
    optimizer = torch.optim.SGD([_parameter()], 0.1)
    schedule = reference(optimizer)  # type: ignore[operator]
    for step in range(50):
        assert 0.1 * factor(step) == pytest.approx(schedule.get_last_lr()[0], abs=1e-9), step
        optimizer.step()
        schedule.step()


def test_one_cycle_is_torchs() -> None:
    factor = rate_factor(_config(schedule="one_cycle", warmup_epochs=3), 5)
    optimizer = torch.optim.SGD([_parameter()], 0.1)
    schedule = lr_scheduler.OneCycleLR(
        optimizer, 0.1, total_steps=50, pct_start=0.3, cycle_momentum=False
    )
    for step in range(50):
        assert 0.1 * factor(step) == pytest.approx(schedule.get_last_lr()[0], abs=1e-9), step
        optimizer.step()
        if step < 49:
            schedule.step()


@pytest.mark.parametrize("name", ["cosine", "step", "exponential", "constant", "plateau"])
def test_warm_up_is_linear_before_every_schedule(name: str) -> None:
    factor = rate_factor(_config(schedule=name, warmup_epochs=2), 5)
    assert [factor(step) for step in range(10)] == pytest.approx([(n + 1) / 11 for n in range(10)])
    assert factor(10) == pytest.approx(1)


def test_cosine_is_what_it_was_before_there_were_others() -> None:
    factor = rate_factor(TrainConfig(), 223)
    warmup, total = 2 * 223, 40 * 223
    for step in (0, 100, 445, 446, 3000, 8919):
        expected = (
            (step + 1) / (warmup + 1)
            if step < warmup
            else 0.5 * (1 + math.cos(math.pi * ((step - warmup) / (total - warmup))))
        )
        assert factor(step) == expected


def test_plateau_warms_up_then_falls_when_the_loss_does_not() -> None:
    config = _config(schedule="plateau", warmup_epochs=1, decay_every=2, decay_factor=0.5)
    optimizer = make_optimizer(parameter_groups([[_parameter()]], config), config)
    (made,) = make_schedule(optimizer, config, 4)
    assert made["monitor"] == "valid_loss"
    rates, step = [], 0
    for loss in (1.0, 0.9, 0.9, 0.9, 0.9, 0.9):
        for _ in range(4):
            warm_up(optimizer, config, step, 4)
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            step += 1
        made["scheduler"].step(loss)
    assert rates[:5] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1])
    # No better in epochs 3 and 4: epoch 5 runs at half the rate, and 7 would at a quarter.
    assert rates[8:] == pytest.approx([0.1] * 8 + [0.05] * 8)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.025)


def test_own_optimizer_and_own_schedule_by_name() -> None:
    config = _config(optimizer="torch.optim:Adagrad", schedule="math:cos", warmup_epochs=2)
    made = make_optimizer([{"params": [_parameter()]}], config)
    assert isinstance(made, torch.optim.Adagrad)
    assert made.param_groups[0]["lr"] == 0.1
    factor = rate_factor(config, 5)
    # Steps 10 to 50 of 50 are shares 0 to 1 of what follows the warm-up.
    assert [factor(step) for step in (10, 30)] == pytest.approx([1.0, math.cos(0.5)])
    assert factor(4) == pytest.approx(0.5, abs=0.11)
    with pytest.raises(ConfigError, match="there is no 'Adagrat'"):
        make_optimizer([{"params": [_parameter()]}], _config(optimizer="torch.optim:Adagrat"))
    with pytest.raises(ConfigError, match="there is no 'coz'"):
        rate_factor(_config(schedule="math:coz"), 5)
