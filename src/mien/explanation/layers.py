"""The inside of a network: layers with their shapes, feature maps, first filters (train extra)."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.backends.torch import load_network
from mien.errors import ConfigError, ModelError, needs_extra, suggest
from mien.preprocess import normalize

if TYPE_CHECKING:
    from torch import nn

    from mien.arrays import F32, U8
    from mien.hub import ModelFolder

__all__ = ["Layer", "feature_maps", "first_filters", "list_layers"]


@dataclass(frozen=True)
class Layer:
    """One layer: where it stands, its class, its output for one face, and how much it learned."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types."""
        return {**vars(self), "shape": list(self.shape)}


def _record(network: nn.Module, batch: F32, wanted: str | None) -> list[tuple[str, nn.Module, Any]]:
    """Runs a network and keeps (name, module, output); of one layer, or shapes of all."""
    import torch

    seen: list[tuple[str, nn.Module, Any]] = []

    def keep(name: str, module: nn.Module, _: object, output: object) -> None:
        if isinstance(output, torch.Tensor):
            seen.append((name, module, output.detach().clone() if wanted else output.shape[1:]))

    with ExitStack() as after, torch.inference_mode():
        for name, module in network.named_modules():
            if name == wanted if wanted else name and not list(module.children()):
                after.callback(module.register_forward_hook(partial(keep, name)).remove)
        network(torch.from_numpy(batch))
    return seen


def _open(folder: ModelFolder) -> nn.Module:
    with needs_extra("looking into a network", "train"):
        import torch  # noqa: F401
    return load_network(folder)


def list_layers(folder: ModelFolder) -> list[Layer]:
    """Lists the layers that hold no others, in the order in which they run, each time they run."""
    p = folder.config.preprocessing
    blank = np.zeros((1, p.channels, p.size, p.size), np.float32)
    rows = []
    for name, module, shape in _record(_open(folder), blank, None):
        parameters = sum(value.numel() for value in module.parameters(recurse=False))
        rows.append(Layer(name, type(module).__name__, tuple(shape), parameters))
    return rows


def feature_maps(folder: ModelFolder, crop: U8, layer: str) -> F32:
    """Returns what a layer, or a group like ``stages.1``, makes of a face (S, S, C): (F, h, w)."""
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
    maps: F32 = seen[-1][2][0].float().numpy()
    return maps


def first_filters(folder: ModelFolder) -> F32:
    """Returns the weights of the first convolution: float32 (filters, C, height, width)."""
    network = _open(folder)
    from torch import nn

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            return module.weight.detach().float().numpy()
    raise ModelError("has no convolution to show filters of", subject=folder.config.architecture)
