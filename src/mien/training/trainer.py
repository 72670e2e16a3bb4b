"""The trainer of a run: device, precision, callbacks, logger."""

from __future__ import annotations

import importlib.util
import netrc
import os
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from mien.config import load_object
from mien.errors import MissingExtraError
from mien.training.callbacks import BestEpoch, MetricsFile, StopOnNaN, load_callbacks
from mien.training.console import EpochLines
from mien.training.device import autocast, training_device
from mien.training.directory import METRICS
from mien.training.distributed.processes import SINGLE, DistInfo
from mien.training.loop import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lightning.pytorch.loggers import Logger

    from mien.training.config import TrainConfig

#: Project or experiment under which runs are listed.
PROJECT = "mien"


def make_trainer(
    config: TrainConfig,
    output: Path,
    *,
    progress: bool,
    callbacks: Sequence[Any] = (),
    dist: DistInfo = SINGLE,
) -> Trainer:
    """Builds the trainer of a run; ``callbacks`` are added to those of the recipe.

    Of several processes only the first shows progress and writes metrics.
    """
    chosen: list[Any] = [StopOnNaN()]
    if dist.is_rank_zero:
        metrics = MetricsFile(output / METRICS)
        chosen.append(metrics)
        if progress:
            chosen.append(EpochLines(lambda: metrics.rows, config.monitor))
    chosen += [
        BestEpoch(
            output,
            f"valid_{config.monitor}",
            lowest=config.monitor == "loss",
            patience=config.patience,
            writes=dist.is_rank_zero,
        ),
        *load_callbacks(config.callbacks),
        *callbacks,
    ]
    device = training_device(config)
    if dist.world_size > 1 and device.type == "cuda":
        device = torch.device("cuda", dist.local_rank)
    return Trainer(
        config.epochs,
        device,
        partial(autocast, config),
        callbacks=chosen,
        logger=make_logger(config, output) if dist.is_rank_zero else None,
        dist=dist,
        find_unused=config.freeze != "none" or config.freeze_bn,
    )


def make_logger(config: TrainConfig, output: Path) -> Logger | None:
    """Returns the logger of a recipe, which knows the recipe already and has the folder's name.

    TensorBoard writes to ``tensorboard/`` in the run directory. Weights & Biases is offline, with
    its files in the run directory, unless it has a key (WANDB_API_KEY or ``wandb login``).
    MLflow reports to MLFLOW_TRACKING_URI, or to ``mlflow.db`` in the run directory. One of your
    own, ``module:callable``, is called with the run directory.
    """
    if config.logger == "none":
        return None
    logger: Logger = find_logger(config.logger)(output)
    logger.log_hyperparams(config.to_dict())
    return logger


def find_logger(name: str) -> Callable[[Path], Logger]:
    """Returns what makes the logger of a name for a run directory."""
    if ":" in name:
        made: Callable[[Path], Logger] = load_object(name, "logger")
        return made
    for module in ("lightning", name):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(f"logger: {name}", "track", module)
    return _MAKERS[name]


def _tensorboard(output: Path) -> Logger:
    from lightning.pytorch import loggers

    # Without a stray "hp_metric".
    return loggers.TensorBoardLogger(
        output, name="", version="tensorboard", default_hp_metric=False
    )


def _wandb(output: Path) -> Logger:
    from lightning.pytorch import loggers

    return loggers.WandbLogger(
        project=PROJECT, name=output.name, save_dir=output, offline=not has_wandb_key()
    )


def _mlflow(output: Path) -> Logger:
    from lightning.pytorch import loggers

    address = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{output.resolve()}/mlflow.db"
    return loggers.MLFlowLogger(experiment_name=PROJECT, run_name=output.name, tracking_uri=address)


_MAKERS = {"tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow}


def has_wandb_key() -> bool:
    """Says whether Weights & Biases could report to its server."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False
