"""The last linear layer of a model folder, read with numpy alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from mien.errors import ModelError
from mien.hub import WEIGHTS, ModelFolder

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Classifier:
    """A linear layer: ``logits = weight @ pooled + bias``.

    Args:
        weight: float32 (K, F).
        bias: float32 (K,).
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


def read_classifier(folder: ModelFolder) -> Classifier:
    """Reads the last linear layer's weights from ``model.safetensors``.

    The file is checked against the folder's sha256 and only two tensors of it are read; the
    result is kept for the next call where the sha256 is known.

    Raises:
        ModelError: If the file is missing, damaged, or holds no such layer.

    >>> from mien.hub import read_model_folder
    >>> read_classifier(read_model_folder()).weight.shape
    (8, 240)
    """
    config = folder.config
    sha256 = config.files.get(WEIGHTS, {}).get("sha256")
    if sha256 is None:
        return _read(folder)  # nothing says when the file changes
    return _read_once(_Key(folder, (folder.path, sha256, config.classifier, len(config.schema))))


@dataclass(frozen=True)
class _Key:
    """A folder that counts as the same while its weights and labels do."""

    folder: ModelFolder = field(compare=False)
    identity: tuple[object, ...]


@lru_cache(maxsize=8)
def _read_once(key: _Key) -> Classifier:
    return _read(key.folder)


def _read(folder: ModelFolder) -> Classifier:
    from safetensors import SafetensorError, safe_open

    file, name, classes = folder.file(WEIGHTS), folder.config.classifier, len(folder.config.schema)
    try:
        with safe_open(file, framework="numpy") as tensors:
            names = set(tensors.keys())
            if f"{name}.weight" not in names:
                raise ModelError(
                    f"has no weights of a last linear layer {name!r}",
                    subject=file,
                    hint="Set pretrained_cfg.classifier in config.json to its name.",
                )
            weight = tensors.get_tensor(f"{name}.weight")
            bias = tensors.get_tensor(f"{name}.bias") if f"{name}.bias" in names else None
    except (SafetensorError, OSError, TypeError, ValueError, KeyError) as error:
        raise ModelError(f"is no readable safetensors file: {error}", subject=file) from error
    bias = np.zeros(len(weight), np.float32) if bias is None else bias
    if weight.ndim != 2 or len(weight) != classes or bias.shape != (classes,):
        raise ModelError(
            f"{name} has a weight {weight.shape} and a bias {bias.shape}; a linear layer of "
            f"{classes} classes has ({classes}, F) and ({classes},)",
            subject=f"{file}:",
        )
    return Classifier(weight.astype(np.float32), bias.astype(np.float32))
