"""Model folders, their cards, and the Hugging Face Hub."""

from mien.hub.folder import (
    ASSETS,
    CARD,
    CONFIG,
    DEFAULT_MODEL,
    FORMAT,
    NETWORKS,
    ONNX,
    WEIGHTS,
    ModelConfig,
    ModelFolder,
    bundled_models,
    name_models,
    read_model_folder,
    sha256,
    write_config,
)

__all__ = [
    "ASSETS",
    "CARD",
    "CONFIG",
    "DEFAULT_MODEL",
    "FORMAT",
    "NETWORKS",
    "ONNX",
    "WEIGHTS",
    "ModelConfig",
    "ModelFolder",
    "bundled_models",
    "name_models",
    "read_model_folder",
    "sha256",
    "write_config",
]
