"""Loggers that a run reports to besides ``metrics.csv``, through Lightning."""

from __future__ import annotations

import importlib.util
import netrc
import os
from typing import TYPE_CHECKING

from mien.config import load_object
from mien.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lightning.pytorch.loggers import Logger

    from mien.training.config import TrainConfig

#: Project or experiment under which runs are listed.
PROJECT = "mien"


def make_logger(config: TrainConfig, output: Path) -> Logger | None:
    """Returns the logger of a recipe, which knows the recipe already.

    TensorBoard writes to ``tensorboard/`` in the run directory. Weights & Biases is offline, with
    its files in the run directory, unless it has a key (WANDB_API_KEY or ``wandb login``).
    MLflow reports to MLFLOW_TRACKING_URI, or to ``mlflow.db`` in the run directory. One of your
    own, ``module:callable``, is called with the run directory.

    Args:
        config: The recipe.
        output: The run directory, whose name becomes that of the logged run.

    Raises:
        ConfigError: If one of your own is not there.
        MissingExtraError: If the logger is not installed.
    """
    if config.logger == "none":
        return None
    logger: Logger = find_logger(config.logger)(output)
    logger.log_hyperparams(config.to_dict())
    return logger


def find_logger(name: str) -> Callable[[Path], Logger]:
    """Returns what makes the logger of a name for a run directory.

    Raises:
        ConfigError: If one of your own is not there.
        MissingExtraError: If it is not installed.
    """
    if ":" in name:
        made: Callable[[Path], Logger] = load_object(name, "logger")
        return made
    if importlib.util.find_spec(name) is None:
        raise MissingExtraError(f"logger: {name}", "track", name)
    return _MAKERS[name]


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
