"""The inside of a network: layers with their shapes, feature maps, first filters (train extra)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.backends.torch import load_network
from mien.errors import ConfigError, MissingExtraError, ModelError, suggest
from mien.preprocess import normalize

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from mien.hub import ModelConfig, ModelFolder


@dataclass(frozen=True)
class Layer:
    """One layer of a network.

    Args:
        name: Where it stands, for example ``stages.0.0.conv1``.
        kind: Its class.
        shape: Of its output for one face, without the batch axis.
        parameters: How many values it learned itself.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types."""
        return {
            "name": self.name,
            "kind": self.kind,
            "shape": list(self.shape),
            "parameters": self.parameters,
        }


def _record(
    network: nn.Module, batch: NDArray[np.float32], wanted: str | None
) -> list[tuple[str, nn.Module, Any]]:
    """Runs a network and keeps (name, module, output); of one layer, or shapes of all."""
    import torch

    seen: list[tuple[str, nn.Module, Any]] = []

    def listen(name: str) -> Any:
        def hook(module: nn.Module, _: object, output: object) -> None:
            if isinstance(output, torch.Tensor):
                kept = output.detach().clone() if wanted else output.shape[1:]
                seen.append((name, module, kept))

        return hook

    handles = [
        module.register_forward_hook(listen(name))
        for name, module in network.named_modules()
        if (name == wanted if wanted else name and not list(module.children()))
    ]
    try:
        with torch.inference_mode():
            network(torch.from_numpy(batch))
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _open(folder: ModelFolder) -> nn.Module:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("looking into a network", "train", error.name) from error
    return load_network(folder)


def _empty(config: ModelConfig) -> NDArray[np.float32]:
    p = config.preprocessing
    return np.zeros((1, p.channels, p.size, p.size), np.float32)


def list_layers(folder: ModelFolder) -> list[Layer]:
    """Lists the layers that hold no others, in the order in which they run.

    A layer that runs more than once (an activation) is listed each time.

    Raises:
        ModelError: If the weights cannot be used.
        MissingExtraError: If torch is not installed.

    >>> from mien.hub import read_model_folder
    >>> layers = list_layers(read_model_folder())
    >>> layers[0].name, layers[0].kind, layers[0].shape, layers[-1].shape
    ('stem.0', 'Conv2d', (32, 48, 48), (8,))
    """
    network = _open(folder)
    return [
        Layer(
            name,
            type(module).__name__,
            tuple(shape),
            sum(p.numel() for p in module.parameters(recurse=False)),
        )
        for name, module, shape in _record(network, _empty(folder.config), None)
    ]


def feature_maps(folder: ModelFolder, crop: NDArray[np.uint8], layer: str) -> NDArray[np.float32]:
    """Returns what a layer makes of one face.

    Args:
        folder: The model.
        crop: uint8 (S, S, C), of the model's own size.
        layer: A name of :func:`list_layers`, or of a group of layers such as ``stages.1``.

    Returns:
        float32 (F, h, w).

    Raises:
        ConfigError: If there is no such layer, or its output is no map.
        ModelError: If the weights cannot be used.
        MissingExtraError: If torch is not installed.

    >>> from mien.hub import read_model_folder
    >>> feature_maps(read_model_folder(), np.zeros((48, 48, 1), np.uint8), "stages.1").shape
    (128, 12, 12)
    """
    network = _open(folder)
    names = [name for name, _ in network.named_modules() if name]
    if layer not in names:
        raise ConfigError(f"no layer named {layer!r}." + suggest(layer, names))
    seen = _record(network, normalize(crop[None], folder.config.preprocessing), layer)
    if not seen or seen[-1][2].ndim != 4:
        shape = tuple(seen[-1][2].shape[1:]) if seen else "nothing"
        raise ConfigError(
            f"layer {layer!r} gives {shape}, which is no stack of maps (F, h, w): type --layers."
        )
    maps: NDArray[np.float32] = seen[-1][2][0].float().numpy()
    return maps


def first_filters(folder: ModelFolder) -> NDArray[np.float32]:
    """Returns the weights of the first convolution: float32 (filters, C, height, width).

    Raises:
        ModelError: If the network has no convolution, or its weights cannot be used.
        MissingExtraError: If torch is not installed.

    >>> from mien.hub import read_model_folder
    >>> first_filters(read_model_folder()).shape
    (32, 1, 3, 3)
    """
    network = _open(folder)
    from torch import nn

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            weights: NDArray[np.float32] = module.weight.detach().float().numpy()
            return weights
    raise ModelError("has no convolution to show filters of", subject=folder.config.architecture)
