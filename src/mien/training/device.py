"""Where a recipe trains, and in which numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from mien.training.distributed.processes import uses_gpu

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mien.training.config import TrainConfig


def training_device(config: TrainConfig) -> torch.device:
    """Where the recipe trains."""
    if config.device == "auto":
        return torch.device("cuda" if uses_gpu(config) else "cpu")
    return torch.device(config.device)


def is_bf16(config: TrainConfig) -> bool:
    """Whether the recipe's steps run in bfloat16 here."""
    if config.precision != "auto":
        return config.precision == "bf16"
    kind = training_device(config).type
    return torch.cpu._is_avx512_bf16_supported() if kind == "cpu" else kind == "cuda"


def autocast(config: TrainConfig) -> AbstractContextManager[Any]:
    """The precision of the recipe's steps."""
    return torch.autocast(training_device(config).type, torch.bfloat16, enabled=is_bf16(config))
