"""PyTorch: the same network from ``model.safetensors``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.backends.protocol import Backend, Outputs
from mien.backends.session import check_device
from mien.errors import ConfigError, ModelError, needs_extra

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
    with needs_extra("the torch backend", "train"):
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from mien.models import create_model
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
        raise ModelError(f"is no readable safetensors file: {error}", subject=path) from error
    state = {
        name: value.float() if value.dtype == torch.float16 else value
        for name, value in state.items()
    }
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(
            f"does not hold the weights of {config.architecture}: {error}", subject=path
        ) from error
    return network.eval()


class TorchBackend(Backend):
    """Runs ``model.safetensors`` with PyTorch.

    Args:
        folder: The model.
        device: ``"auto"`` (CUDA where there is one), ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.

    Raises:
        ConfigError: If there is no such device.
        ModelError: See :func:`load_network`.
        MissingExtraError: If torch is not installed.
    """

    name = "torch"

    def __init__(self, folder: ModelFolder, *, device: str = "auto") -> None:
        network = load_network(folder)
        import torch

        has_cuda = torch.cuda.is_available()
        if check_device(device) == "auto":
            device = "cuda" if has_cuda else "cpu"
        if device.startswith("cuda") and not has_cuda:
            raise ConfigError(
                "is not to be had here", subject=f"device {device!r}", hint="Use cpu."
            )
        self._device = device
        self._network = network.to(device)

    def run(self, batch: NDArray[np.float32], *, features: bool = False) -> Outputs:
        """Runs float32 (N, C, S, S)."""
        import torch

        from mien.models.tapped import logits_and_features

        with torch.inference_mode():
            logits, last = logits_and_features(
                self._network, torch.from_numpy(batch).to(self._device)
            )
        return Outputs(logits.cpu().numpy(), last.cpu().numpy() if features else None)
