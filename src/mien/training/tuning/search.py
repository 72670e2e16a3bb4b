"""How the next trial is drawn, and when a hopeless one ends."""

from __future__ import annotations

import json
import warnings
import zlib
from typing import TYPE_CHECKING

import optuna

from mien.training.tuning.workers import this_worker

if TYPE_CHECKING:
    from mien.training.config import TrainConfig
    from mien.training.tuning.config import TuneConfig
    from mien.training.tuning.space import Space


def make_pruner(settings: TuneConfig, recipe: TrainConfig) -> optuna.pruners.BasePruner:
    """Returns the pruner that the settings name."""
    if settings.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1)
    if settings.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(max_resource=recipe.epochs)
    return optuna.pruners.NopPruner()


def make_sampler(settings: TuneConfig, space: Space, drawn: int) -> optuna.samplers.BaseSampler:
    """Returns the sampler of the next trial.

    Its seed moves on with the trials, so that a study gone on with does not draw its first ones
    again; workers on one database draw differently.
    """
    if settings.sampler == "grid":
        points = {key: dimension.points(key) for key, dimension in space.items()}
        return optuna.samplers.GridSampler(points, seed=settings.seed)
    salt = json.dumps(this_worker(), sort_keys=True) if settings.storage else ""
    seed = zlib.crc32(f"{settings.seed} {drawn} {salt}".encode())
    if settings.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, constant_liar=bool(settings.storage))
