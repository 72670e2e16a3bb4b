"""The Lightning trainer of a run: device, precision, callbacks, logger."""

from __future__ import annotations

import importlib.util
import netrc
import os
import sys
from typing import TYPE_CHECKING, Any

import lightning
import torch
from lightning.pytorch import callbacks as lightning_callbacks
from lightning.pytorch import loggers
from lightning.pytorch.strategies import DDPStrategy

from mien.config import load_object
from mien.errors import MissingExtraError
from mien.training.callbacks import AtomicCheckpointIO, MetricsFile, StopOnNaN, load_callbacks
from mien.training.directory import CHECKPOINTS, METRICS
from mien.training.distributed.processes import SINGLE, DistInfo, uses_gpu

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from lightning.pytorch.callbacks import Callback
    from lightning.pytorch.loggers import Logger

    from mien.training.config import TrainConfig

#: Project or experiment under which runs are listed.
PROJECT = "mien"


def training_device(config: TrainConfig) -> torch.device:
    """Where the recipe trains."""
    if config.device == "auto":
        return torch.device("cuda" if uses_gpu(config) else "cpu")
    return torch.device(config.device)


def _precision(config: TrainConfig) -> Any:
    fast = config.precision == "bf16"
    if config.precision == "auto":
        kind = training_device(config).type
        fast = torch.cpu._is_avx512_bf16_supported() if kind == "cpu" else kind == "cuda"
    return "bf16-mixed" if fast else "32-true"


def autocast(config: TrainConfig) -> AbstractContextManager[Any]:
    """The precision of the recipe's steps, for work outside of the trainer."""
    fast = _precision(config) == "bf16-mixed"
    return torch.autocast(training_device(config).type, torch.bfloat16, enabled=fast)


def make_trainer(
    config: TrainConfig,
    output: Path,
    *,
    progress: bool,
    callbacks: Sequence[Callback] = (),
    dist: DistInfo = SINGLE,
) -> lightning.Trainer:
    """Builds the Lightning trainer of a run; ``callbacks`` are added to those of the recipe.

    Of several processes only the first shows progress and writes metrics.
    """
    bar = progress and sys.stderr.isatty() and dist.is_rank_zero
    logger = make_logger(config, output) if dist.is_rank_zero else None
    chosen: list[Callback] = [StopOnNaN()]
    if dist.is_rank_zero:
        chosen.append(MetricsFile(output / METRICS, echo=progress and not bar))
    monitor, mode = f"valid_{config.monitor}", "min" if config.monitor == "loss" else "max"
    if config.patience:
        when: dict[str, Any] = {"patience": config.patience, "check_on_train_epoch_end": True}
        chosen.append(lightning_callbacks.EarlyStopping(monitor, mode=mode, **when))
    # Two keepers: Lightning's own save_last renews last.ckpt only when the best one is renewed.
    chosen += [
        lightning_callbacks.ModelCheckpoint(
            output / CHECKPOINTS,
            filename=name,
            monitor=watched,
            mode=mode,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
        for name, watched in (("best", monitor), ("last", None))
    ]
    if bar:
        chosen.append(lightning_callbacks.RichProgressBar(console_kwargs={"stderr": True}))
    chosen += [*load_callbacks(config.callbacks), *callbacks]
    if logger:
        chosen.append(lightning_callbacks.LearningRateMonitor(logging_interval="epoch"))
    strategy: Any = "auto"
    if dist.world_size > 1:
        # Running statistics are averaged instead, and layers may be frozen for a while.
        strategy = DDPStrategy(
            broadcast_buffers=False,
            find_unused_parameters=config.freeze != "none" or config.freeze_bn,
        )
    device = training_device(config)
    return lightning.Trainer(
        accelerator="gpu" if device.type == "cuda" else device.type,
        devices=[device.index] if device.index is not None else dist.local_world_size,
        num_nodes=dist.world_size // dist.local_world_size,
        strategy=strategy,
        use_distributed_sampler=False,
        max_epochs=config.epochs,
        precision=_precision(config),
        callbacks=chosen,
        plugins=[AtomicCheckpointIO()],
        logger=logger or False,
        num_sanity_val_steps=0,
        enable_progress_bar=bar,
        enable_model_summary=False,
        default_root_dir=output,
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
    if importlib.util.find_spec(name) is None:
        raise MissingExtraError(f"logger: {name}", "track", name)
    return _MAKERS[name]


def _tensorboard(output: Path) -> Logger:
    return loggers.TensorBoardLogger(output, name="", version="tensorboard")


def _wandb(output: Path) -> Logger:
    return loggers.WandbLogger(
        project=PROJECT, name=output.name, save_dir=output, offline=not has_wandb_key()
    )


def _mlflow(output: Path) -> Logger:
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
