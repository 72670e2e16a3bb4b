"""The Lightning trainer of a run: device, precision, callbacks, logger."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import lightning
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
)
from lightning.pytorch.strategies import DDPStrategy

from mien.training.callbacks import AtomicCheckpointIO, MetricsFile, StopOnNaN
from mien.training.distributed.processes import SINGLE, DistInfo
from mien.training.plugins import load_callbacks
from mien.training.tracking import make_logger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mien.training.config import TrainConfig


def _accelerator(config: TrainConfig) -> str:
    if config.device != "auto":
        return "gpu" if config.device.startswith("cuda") else config.device
    return "gpu" if torch.cuda.is_available() else "cpu"


def _precision(config: TrainConfig, accelerator: str) -> Any:
    if config.precision == "auto":
        fast = (
            torch.cpu._is_avx512_bf16_supported() if accelerator == "cpu" else accelerator == "gpu"
        )
        return "bf16-mixed" if fast else "32-true"
    return {"32": "32-true", "bf16": "bf16-mixed"}[config.precision]


def _devices(config: TrainConfig, dist: DistInfo) -> Any:
    """Returns how many devices, or the number of the one that is named (``cuda:1``)."""
    _, colon, number = config.device.partition(":")
    return [int(number)] if colon else dist.local_world_size


def training_device(config: TrainConfig) -> torch.device:
    """Where the recipe trains."""
    if ":" in config.device:
        return torch.device(config.device)
    kind = _accelerator(config)
    return torch.device("cuda" if kind == "gpu" else kind)


def autocast(config: TrainConfig) -> AbstractContextManager[Any]:
    """The precision of the recipe's steps, for work outside of the trainer."""
    fast = _precision(config, _accelerator(config)) == "bf16-mixed"
    return torch.autocast(training_device(config).type, torch.bfloat16, enabled=fast)


def _strategy(config: TrainConfig, dist: DistInfo) -> Any:
    if dist.world_size == 1:
        return "auto"
    # Running statistics are averaged instead, and layers may be frozen for a while.
    return DDPStrategy(
        broadcast_buffers=False,
        find_unused_parameters=config.freeze != "none" or config.freeze_bn,
    )


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

    Raises:
        ConfigError: If a callback of the user's own cannot be had.
        MissingExtraError: If the logger is not installed.
    """
    bar = progress and sys.stderr.isatty() and dist.is_rank_zero
    chosen: list[Callback] = [StopOnNaN()]
    if dist.is_rank_zero:
        chosen.append(MetricsFile(output / "metrics.csv", echo=progress and not bar))
    if config.patience:
        chosen.append(
            EarlyStopping(
                "valid_accuracy",
                mode="max",
                patience=config.patience,
                check_on_train_epoch_end=True,
            )
        )
    # Two keepers: Lightning's own save_last renews last.ckpt only when the best one is renewed.
    for name, monitor in (("best", "valid_accuracy"), ("last", None)):
        chosen.append(
            ModelCheckpoint(
                output / "checkpoints",
                filename=name,
                monitor=monitor,
                mode="max",
                save_on_train_epoch_end=True,
                enable_version_counter=False,
            )
        )
    if bar:
        chosen.append(RichProgressBar(console_kwargs={"stderr": True}))
    chosen += [*load_callbacks(config.callbacks), *callbacks]
    logger = make_logger(config, output) if dist.is_rank_zero else None
    if logger:
        chosen.append(LearningRateMonitor(logging_interval="epoch"))
    accelerator = _accelerator(config)
    return lightning.Trainer(
        accelerator=accelerator,
        devices=_devices(config, dist),
        num_nodes=dist.world_size // dist.local_world_size,
        strategy=_strategy(config, dist),
        use_distributed_sampler=False,
        max_epochs=config.epochs,
        precision=_precision(config, accelerator),
        callbacks=chosen,
        plugins=[AtomicCheckpointIO()],
        logger=logger or False,
        num_sanity_val_steps=0,
        enable_progress_bar=bar,
        enable_model_summary=False,
        default_root_dir=output,
    )
