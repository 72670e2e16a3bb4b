"""Sizes of networks: parameters and multiply-accumulates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn


def count_parameters(model: nn.Module) -> int:
    """Returns the number of trainable values."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(model: nn.Module, input_shape: Sequence[int]) -> int:
    """Counts multiply-accumulates of convolutions, linear layers and attention for one input.

    Args:
        model: The network; left in the mode it came in.
        input_shape: (C, S, S).
    """
    training = model.training
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model.eval()(torch.zeros(1, *input_shape))
    finally:
        model.train(training)
    return int(counter.get_total_flops()) // 2
