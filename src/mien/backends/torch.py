"""PyTorch: the same network from ``model.safetensors``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.backends import Outputs
from mien.errors import MissingExtraError, ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from mien.hub import ModelFolder


def load_network(folder: ModelFolder) -> nn.Module:
    """Builds the network of a model folder with its weights, in float32 and evaluation mode.

    Raises:
        ModelError: If the weights are missing, damaged, or of another network.
        MissingExtraError: If torch is not installed.
    """
    try:
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from mien.models import create_model
    except ImportError as error:
        raise MissingExtraError("the torch backend", "train", error.name) from error
    from mien.hub import WEIGHTS

    config, path = folder.config, folder.file(WEIGHTS)
    network = create_model(
        config.architecture,
        num_classes=len(config.schema),
        in_channels=config.preprocessing.channels,
        **config.model_args,
    )
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is no readable safetensors file: {error}.") from error
    state = {
        name: value.float() if value.dtype == torch.float16 else value
        for name, value in state.items()
    }
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(
            f"{path} does not hold the weights of {config.architecture}: {error}"
        ) from error
    return network.eval()


class TorchBackend:
    """Runs ``model.safetensors`` with PyTorch on the CPU.

    Args:
        folder: The model.

    Raises:
        ModelError: See :func:`load_network`.
        MissingExtraError: If torch is not installed.
    """

    name = "torch"

    def __init__(self, folder: ModelFolder) -> None:
        self._network = load_network(folder)

    def run(self, batch: NDArray[np.float32], *, features: bool = False) -> Outputs:
        """Runs float32 (N, C, S, S)."""
        import torch

        from mien.models.tapped import logits_and_features

        with torch.inference_mode():
            logits, last = logits_and_features(self._network, torch.from_numpy(batch))
        return Outputs(logits.numpy(), last.numpy() if features else None)
