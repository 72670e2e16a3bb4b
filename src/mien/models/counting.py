"""Sizes of networks: parameters and multiply-accumulates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from mien.models.vit import Attention

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


def count_parameters(model: nn.Module) -> int:
    """Returns the number of trainable values."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(model: nn.Module, input_shape: Sequence[int]) -> int:
    """Counts multiply-accumulates of convolutions, linear layers and attention for one input.

    Args:
        model: The network; left in the mode it came in.
        input_shape: (C, S, S).
    """
    total = 0

    def count(module: nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            kernel = module.kernel_size[0] * module.kernel_size[1]
            total += output.numel() * kernel * module.in_channels // module.groups
        elif isinstance(module, nn.Linear):
            total += output.numel() * module.in_features
        elif isinstance(module, Attention):
            total += 2 * output.numel() * output.shape[1]  # queries by keys, weights by values

    handles = [module.register_forward_hook(count) for module in model.modules()]
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, *input_shape))
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    return total
