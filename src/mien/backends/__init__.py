"""Engines that run a network: a batch goes in, logits (and the last feature map) come out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.backends.protocol import Backend, Outputs
from mien.errors import ConfigError, suggest
from mien.hub import ONNX, WEIGHTS

if TYPE_CHECKING:
    from mien.hub import ModelFolder

#: The engines, and the file of a model folder that each runs.
NETWORK_FILES = {"onnx": ONNX, "torch": WEIGHTS}
BACKENDS = tuple(NETWORK_FILES)

__all__ = ["BACKENDS", "NETWORK_FILES", "Backend", "Outputs", "open_backend"]


def open_backend(
    folder: ModelFolder, name: str = "onnx", *, threads: int = 0, device: str = "auto"
) -> Backend:
    """Opens a model folder with an engine.

    Args:
        folder: The model.
        name: ``"onnx"`` (ONNX Runtime) or ``"torch"`` (needs the ``train`` extra).
        threads: Threads for one batch; 0 leaves the choice to the engine.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.

    Raises:
        ConfigError: If the engine is unknown.
        ModelError: If the weights are missing, damaged or of another network.
        MissingExtraError: If the engine is not installed.
    """
    if name == "onnx":
        from mien.backends.onnx import OnnxBackend

        return OnnxBackend(folder.file(ONNX), folder.config, threads=threads, device=device)
    if name == "torch":
        from mien.backends.torch import TorchBackend

        return TorchBackend(folder, device=device)
    raise ConfigError(f"no backend named {name!r}." + suggest(str(name), BACKENDS))
