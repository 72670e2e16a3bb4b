"""Which values of a recipe go together."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mien.errors import ConfigError

if TYPE_CHECKING:
    from mien.training.config import TrainConfig


def check_config(config: TrainConfig) -> None:
    """Checks the values of a recipe that depend on each other.

    Raises:
        ConfigError: If two contradict each other.
    """
    if ":" in config.device and not re.fullmatch(r"cuda:\d+", config.device):
        raise ConfigError(f"device must be auto, cpu, cuda, cuda:1 or mps; got {config.device!r}.")
    for made in (_check_order, _check_transfer, _check_balance):
        made(config)


def _check_order(config: TrainConfig) -> None:
    if config.scale_max < config.scale_min:
        raise ConfigError(
            f"scale_max ({config.scale_max}) must not be below scale_min ({config.scale_min})."
        )
    if config.warmup_epochs >= config.epochs:
        raise ConfigError(
            f"warmup_epochs ({config.warmup_epochs}) must be below epochs ({config.epochs})."
        )
    if config.size and config.size < 8:
        raise ConfigError(f"size must be 0 (the network's own) or at least 8; got {config.size}.")
    if config.first_size and config.first_size < 8:
        raise ConfigError(f"first_size must be 0 (off) or at least 8; got {config.first_size}.")


def _check_transfer(config: TrainConfig) -> None:
    if config.freeze == "none" and (config.freeze_epochs or config.unfreeze):
        raise ConfigError(
            "freeze_epochs and unfreeze say how long features stay frozen: they need "
            "freeze: features."
        )
    if config.freeze_epochs >= config.epochs:
        raise ConfigError(
            f"freeze_epochs ({config.freeze_epochs}) must be below epochs ({config.epochs}); "
            "0 freezes for the whole run."
        )
    if config.unfreeze and not config.freeze_epochs:
        raise ConfigError("unfreeze needs freeze_epochs: how long the head trains alone first.")
    if config.freeze == "features" and not config.weights:
        raise ConfigError(
            "freeze: features without weights would keep features of chance: give "
            "weights (a file, a model folder, or hub), or freeze: none."
        )
    if config.freeze_bn and not config.weights:
        raise ConfigError(
            "freeze_bn without weights would keep the statistics of no data at all: give weights."
        )
    if config.distill_views and not config.teachers:
        raise ConfigError("distill_views needs teachers: name them, teachers: DIR.")


def _check_balance(config: TrainConfig) -> None:
    if config.loss == "class_balanced" and config.class_weight == "inverse":
        raise ConfigError(
            "loss: class_balanced weighs by the effective number, class_weight: inverse by the "
            "frequency: for the latter give loss: cross_entropy."
        )
    weighs = config.class_weight != "none" or config.loss == "class_balanced"
    if weighs and ":" in config.loss:
        raise ConfigError(
            f"class_weight does not reach into a loss of your own ({config.loss}): weigh there."
        )
    measures = {
        "sampler: weighted": config.sampler == "weighted",
        "logit_adjustment": config.logit_adjustment > 0,
        "class weights": weighs,
    }
    chosen = [name for name, is_on in measures.items() if is_on]
    if len(chosen) > 1:
        raise ConfigError(
            "each make up for rare classes; together they do it twice: keep one of them",
            subject=f"{' and '.join(chosen)}",
        )
