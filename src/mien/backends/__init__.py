"""Engines that run a network: a batch goes in, logits (and the last feature map) come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mien.errors import ConfigError, suggest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mien.hub import ModelFolder


@dataclass(frozen=True)
class Outputs:
    """What a network says of N faces.

    Args:
        logits: float32 (N, K), before temperature and softmax.
        features: float32 (N, F, h, w), the last feature map, or None where there is none.
    """

    logits: NDArray[np.float32]
    features: NDArray[np.float32] | None


class Backend(Protocol):
    """Runs one network; safe to call from several threads."""

    name: str

    def run(self, batch: NDArray[np.float32], *, features: bool = False) -> Outputs:
        """Runs float32 (N, C, S, S); the feature map is returned only when asked for."""


BACKENDS = ("onnx", "torch")


def open_backend(folder: ModelFolder, name: str = "onnx", *, threads: int = 0) -> Backend:
    """Opens a model folder with an engine.

    Args:
        folder: The model.
        name: ``"onnx"`` (ONNX Runtime) or ``"torch"`` (needs the ``train`` extra).
        threads: Threads for one batch; 0 leaves the choice to the engine.

    Raises:
        ConfigError: If the engine is unknown.
        ModelError: If the weights are missing, damaged or of another network.
        MissingExtraError: If the engine is not installed.
    """
    if name == "onnx":
        from mien.backends.onnx import OnnxBackend
        from mien.hub import ONNX

        return OnnxBackend(folder.file(ONNX), folder.config, threads=threads)
    if name == "torch":
        from mien.backends.torch import TorchBackend

        return TorchBackend(folder)
    raise ConfigError(f"no backend named {name!r}." + suggest(name, BACKENDS))
