"""What the values of a recipe may be, alone and together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mien.errors import ConfigError, suggest
from mien.training.optim.options import Bounds, check_bounds

if TYPE_CHECKING:
    from mien.training.config import TrainConfig

_BOUNDS: dict[str, Bounds] = {
    "epochs": (1, math.inf, True),
    "decay_every": (1, math.inf, True),
    "devices": (1, math.inf, True),
    "num_nodes": (1, math.inf, True),
    "shuffle_buffer": (1, math.inf, True),
    "batch_size": (2, math.inf, True),
    **dict.fromkeys(("size", "first_size"), (0, 1024, True)),
    "randaugment": (0, 16, True),
    "distill_views": (0, 64, True),
    **dict.fromkeys(
        ("warmup_epochs", "weight_decay", "rotate", "patience", "limit", "threads", "seed",
         "freeze_epochs", "unfreeze", "focal_gamma", "logit_adjustment", "workers"),
        (0, math.inf, True),
    ),
    **dict.fromkeys(
        ("lr", "mixup_alpha", "cutmix_alpha", "scale_min", "distill_temperature"),
        (1e-12, math.inf, True),
    ),
    **dict.fromkeys(
        ("flip", "blur", "low_resolution", "noise", "erase", "mixup", "mixup_off", "shift",
         "cutmix", "randaugment_strength", "distill_weight", "first_share"),
        (0, 1, True),
    ),
    **dict.fromkeys(
        ("momentum", "ema_decay", "dropout", "light", "label_smoothing", "class_weight_beta"),
        (0, 1, False),
    ),
    **dict.fromkeys(("layer_decay", "decay_factor"), (1e-12, 1, True)),
    "low_resolution_min": (0.05, 0.8, True),
}  # fmt: skip
_CHOICES: dict[str, tuple[str, ...]] = {
    "precision": ("auto", "32", "bf16"),
    "device": ("auto", "cpu", "cuda", "mps"),
    "color": ("", "gray", "rgb"),
    "freeze": ("none", "features"),
    "optimizer": ("sgd", "momentum", "rmsprop", "adam", "adamw"),
    "schedule": ("cosine", "step", "exponential", "one_cycle", "plateau", "constant"),
    "loss": ("cross_entropy", "focal", "kl", "class_balanced"),
    "class_weight": ("none", "inverse", "effective"),
    "sampler": ("shuffle", "weighted"),
    "tracker": ("none", "tensorboard", "wandb", "mlflow"),
}


def check_config(config: TrainConfig) -> None:
    """Checks every value of a recipe and those that depend on each other.

    Raises:
        ConfigError: If a value is impossible, or two contradict each other.
    """
    check_bounds(config, _BOUNDS)
    for name, known in _CHOICES.items():
        value = getattr(config, name)
        # Names with a colon are those of another package, looked up when the run starts.
        elsewhere = (name == "loss" and ":" in value) or (
            name == "optimizer" and value.startswith("timm:")
        )
        if value not in known and not elsewhere:
            raise ConfigError(f"{name} {value!r} is unknown." + suggest(value, filter(None, known)))
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
        raise ConfigError("distill_views says how teachers are asked: name them, teachers: DIR.")


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
