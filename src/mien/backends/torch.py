"""PyTorch: the same network from ``model.safetensors``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.backends.protocol import Backend, Outputs
from mien.backends.session import check_device
from mien.errors import ConfigError, ModelError, needs_extra
from mien.hub import WEIGHTS
from mien.hub.tensors import read_tensors

if TYPE_CHECKING:
    from torch import nn

    from mien.arrays import F32
    from mien.hub import ModelFolder


def load_network(folder: ModelFolder) -> nn.Module:
    """Builds the network of a model folder with its weights, in float32 and evaluation mode."""
    with needs_extra("the torch backend", "train"):
        import safetensors.torch  # noqa: F401

        from mien.models import create_model

    config, path = folder.config, folder.file(WEIGHTS)
    network = create_model(
        config.architecture,
        num_classes=len(config.schema),
        in_channels=config.preprocessing.channels,
        **config.model_args,
    )
    try:
        network.load_state_dict(read_tensors(path))
    except RuntimeError as error:
        raise ModelError(
            f"does not hold the weights of {config.architecture}: {error}", subject=path
        ) from error
    return network.eval()


class TorchBackend(Backend):
    """Runs ``model.safetensors`` with PyTorch.

    Raises what :func:`load_network` does, and ConfigError where there is no such ``device``;
    ``"auto"`` is CUDA where there is one.
    """

    name = "torch"

    def __init__(self, folder: ModelFolder, *, device: str = "auto") -> None:
        network = load_network(folder)
        import torch

        has_cuda = torch.cuda.is_available()
        if check_device(device).startswith("cuda") and not has_cuda:
            raise ConfigError(
                "is not to be had here", subject=f"device {device!r}", hint="Use cpu."
            )
        self._device = ("cuda" if has_cuda else "cpu") if device == "auto" else device
        self._network = network.to(self._device)

    def run(self, batch: F32, *, features: bool = False) -> Outputs:
        """Runs float32 (N, C, S, S)."""
        import torch

        from mien.models.layers import logits_and_features

        x = torch.from_numpy(batch).to(self._device)
        with torch.inference_mode():
            logits, last = logits_and_features(self._network, x)
        return Outputs(logits.cpu().numpy(), last.cpu().numpy() if features else None)
