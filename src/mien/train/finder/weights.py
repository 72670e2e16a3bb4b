"""Weights of the detector's network in safetensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.atomic import replacing
from mien.errors import ModelError
from mien.models.finder import Finder

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn


def load_weights(path: Path) -> Finder:
    """Builds the network with the weights of a safetensors file, in evaluation mode.

    Raises:
        ModelError: If the file cannot be read or holds other weights.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    network = Finder()
    try:
        network.load_state_dict(load_file(path))
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise ModelError(f"{path} does not hold weights of the detector: {error}") from error
    return network.eval()


def save_weights(network: nn.Module, path: Path) -> None:
    """Writes a network's weights as safetensors."""
    from safetensors.torch import save_file

    state = {name: value.contiguous().clone() for name, value in network.state_dict().items()}
    with replacing(path) as temporary:
        save_file(state, temporary)
