"""Loggers that a recipe names, next to ``metrics.csv``, through Lightning."""

from __future__ import annotations

import importlib.util
import netrc
import os
from typing import TYPE_CHECKING

from mien.errors import MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

    from lightning.pytorch.loggers import Logger

    from mien.training.config import TrainConfig

#: Project or experiment under which runs are listed.
PROJECT = "mien"


def make_logger(config: TrainConfig, output: Path) -> Logger | None:
    """Returns the logger of a recipe's tracker, which knows the recipe already.

    TensorBoard writes to ``tensorboard/`` in the run directory. Weights & Biases is offline, with
    its files in the run directory, unless it has a key (WANDB_API_KEY or ``wandb login``).
    MLflow reports to MLFLOW_TRACKING_URI, or to ``mlflow.db`` in the run directory.

    Args:
        config: The recipe.
        output: The run directory, whose name becomes that of the tracked run.

    Raises:
        MissingExtraError: If the tracker is not installed.
    """
    if config.tracker == "none":
        return None
    check_tracker(config.tracker)
    logger = _MAKERS[config.tracker](output)
    logger.log_hyperparams(config.to_dict())
    return logger


def check_tracker(name: str) -> None:
    """Looks whether a tracker is installed.

    Raises:
        MissingExtraError: If it is not.
    """
    if name != "none" and importlib.util.find_spec(name) is None:
        raise MissingExtraError(f"tracker: {name}", "track", name)


def _tensorboard(output: Path) -> Logger:
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(output, name="", version="tensorboard")


def _wandb(output: Path) -> Logger:
    from lightning.pytorch.loggers import WandbLogger

    return WandbLogger(
        project=PROJECT, name=output.name, save_dir=output, offline=not has_wandb_key()
    )


def _mlflow(output: Path) -> Logger:
    from lightning.pytorch.loggers import MLFlowLogger

    address = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{output.resolve()}/mlflow.db"
    return MLFlowLogger(experiment_name=PROJECT, run_name=output.name, tracking_uri=address)


_MAKERS = {"tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow}


def has_wandb_key() -> bool:
    """Says whether Weights & Biases could report to its server."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False
