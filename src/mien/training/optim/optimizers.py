"""Optimisers and the course of the learning rate."""

from __future__ import annotations

import importlib
import math
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from mien.config import load_object
from mien.errors import ConfigError, suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn
    from torch.optim import Optimizer

    from mien.training.config import TrainConfig

__all__ = ["make_optimizer", "make_schedule", "parameter_groups", "rate_factor", "warm_up"]

#: Of one_cycle: peak over first rate, and first over last (PyTorch's own values).
_FIRST, _LAST = 25.0, 1e4


def parameter_groups(
    stages: Sequence[Sequence[nn.Parameter]], config: TrainConfig
) -> list[dict[str, Any]]:
    """Sorts parameters by weight decay and learning rate.

    Norms and biases are not decayed. With ``layer_decay`` d, stage i of n learns at
    ``lr * d^(n - 1 - i)``, so that the head learns fastest; the head's groups come first.

    Args:
        stages: Parameters by stage, the head last.
        config: The recipe.
    """
    if config.layer_decay == 1:
        stages = [[p for stage in stages for p in stage]]
    groups = []
    for distance, stage in enumerate(reversed(stages)):
        lr = config.lr * config.layer_decay**distance
        for decay, is_matrix in ((config.weight_decay, True), (0.0, False)):
            if chosen := [p for p in stage if (p.ndim > 1) is is_matrix]:
                groups.append({"params": chosen, "weight_decay": decay, "lr": lr})
    return groups


def make_optimizer(groups: list[dict[str, Any]], config: TrainConfig) -> Optimizer:
    """Builds the optimiser of a recipe.

    Args:
        groups: See :func:`parameter_groups`.
        config: The recipe; one of your own is called as PyTorch's are, ``(groups, lr=lr)``.

    Raises:
        ConfigError: If timm knows no optimiser of that name, or there is no such callable.
    """
    name, lr, momentum = config.optimizer, config.lr, config.momentum
    makers: dict[str, Callable[..., Optimizer]] = {
        "sgd": partial(torch.optim.SGD, momentum=momentum, nesterov=momentum > 0),
        "momentum": partial(torch.optim.SGD, momentum=momentum),
        "rmsprop": partial(torch.optim.RMSprop, momentum=momentum),
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
    }
    if name in makers:
        return makers[name](groups, lr=lr)
    if not name.startswith("timm:"):
        own: Optimizer = load_object(name, "optimizer")(groups, lr=lr)
        return own
    optim: Any = importlib.import_module("timm.optim")
    wanted, known = name.removeprefix("timm:"), optim.list_optimizers()
    if wanted not in known:
        raise ConfigError(f"timm has no optimizer {wanted!r}." + suggest(wanted, known))
    made: Optimizer = optim.create_optimizer_v2(groups, wanted, lr=lr, momentum=momentum)
    return made


def rate_factor(config: TrainConfig, steps_per_epoch: int) -> Callable[[int], float]:
    """Returns the share of the peak rate at each step, 0 for the first.

    ``cosine`` falls to zero; ``step`` multiplies by ``decay_factor`` every ``decay_every`` epochs
    after the warm-up, ``exponential`` does the same smoothly; ``one_cycle`` (Smith and Topin 2018,
    https://arxiv.org/abs/1708.07120) rises and falls by half cosines from 1/25 to 1/250,000;
    ``constant`` and ``plateau`` stay, and the latter is lowered from outside. One of your own,
    ``module:callable``, maps the share of steps done after the warm-up, 0..1, to that of the rate.

    Raises:
        ConfigError: If one of your own is not there.
    """
    after = _course(config, steps_per_epoch)
    warmup = config.warmup_epochs * steps_per_epoch
    total = config.epochs * steps_per_epoch

    def one_cycle(step: int) -> float:
        top = warmup - 1
        if step < top:
            low, share = 1 / _FIRST, step / top
        else:
            low, share = 1 / (_FIRST * _LAST), 1 - (step - top) / max(total - 1 - top, 1)
        return low + (1 - low) * 0.5 * (1 - math.cos(math.pi * min(max(share, 0), 1)))

    def factor(step: int) -> float:
        if config.schedule == "one_cycle":
            return one_cycle(step)
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return float(after(step - warmup, min((step - warmup) / max(total - warmup, 1), 1.0)))

    return factor


def _course(config: TrainConfig, steps_per_epoch: int) -> Callable[[float, float], float]:
    """Returns the rate after the warm-up, by the steps and the share of steps that are done."""
    span, decay = config.decay_every * steps_per_epoch, config.decay_factor
    if ":" in config.schedule:
        own = load_object(config.schedule, "schedule")
        return lambda _done, share: float(own(share))
    courses: dict[str, Callable[[float, float], float]] = {
        "cosine": lambda _done, share: 0.5 * (1 + math.cos(math.pi * share)),
        "step": lambda done, _share: float(decay ** int(done // span)),
        "exponential": lambda done, _share: float(decay ** (done / span)),
    }
    return courses.get(config.schedule, lambda _done, _share: 1.0)


def make_schedule(optimizer: Optimizer, config: TrainConfig, steps_per_epoch: int) -> list[Any]:
    """Returns the schedulers of a run: ``scheduler``, its ``interval`` and what it monitors.

    A plateau's follows the validation loss; the warm-up before it is :func:`warm_up`'s.
    """
    if config.schedule == "plateau":
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=config.decay_factor, patience=config.decay_every - 1
        )
        return [{"scheduler": plateau, "interval": "epoch", "monitor": "valid_loss"}]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate_factor(config, steps_per_epoch))
    return [{"scheduler": schedule, "interval": "step"}]


def warm_up(optimizer: Optimizer, config: TrainConfig, step: int, steps_per_epoch: int) -> None:
    """Sets the rates of a plateau's warm-up, by step; does nothing after it."""
    warmup = math.ceil(config.warmup_epochs * steps_per_epoch)
    if step > warmup:
        return
    share = rate_factor(config, steps_per_epoch)(step)
    for group in optimizer.param_groups:
        group.setdefault("peak_lr", group["lr"])
        group["lr"] = group["peak_lr"] * share
