"""Attention rollout for networks with attention (train extra).

Abnar and Zuidema 2020 (https://arxiv.org/abs/2005.00928): information flows from token to token
along the attention of each block, half of it past the block over its shortcut. Multiplied from the
first block to the last, that says how much of each patch reaches the class token. It shows what
the network reads, whatever the label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import InputError, MissingExtraError, ModelError
from mien.explain.methods import register_method
from mien.preprocess import normalize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.explain.methods import FaceBatch
    from mien.recognizer import EmotionRecognizer

_BATCH = 32


def roll_out(attention: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Multiplies the attention of all blocks, each averaged with its shortcut.

    Args:
        attention: (L, heads, T, T), the first block first; rows sum to 1.

    Returns:
        float64 (T, T): how much of each token of the input is in each of the last block; rows sum
        to 1.

    Raises:
        InputError: If the shape is another one.

    >>> roll_out(np.array([[[[0.0, 1.0], [0.0, 1.0]]]])).tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """
    if attention.ndim != 4 or attention.shape[2] != attention.shape[3]:
        raise InputError(f"expected attention (L, heads, T, T); got {attention.shape}.")
    shortcut = np.eye(attention.shape[3])
    flow = shortcut
    for block in attention.astype(np.float64).mean(axis=1):
        flow = (block + shortcut) / 2 @ flow
    return flow


@register_method("rollout", summary="attention to each patch; knows no label", extra="train")
def rollout(
    recognizer: EmotionRecognizer, batch: FaceBatch, columns: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Rolls out the attention of each face, from the class token to the patches.

    Args:
        recognizer: The model.
        batch: N faces.
        columns: (N,), not looked at.

    Returns:
        float32 (N, h, w): each patch's share above that of the least attended one.

    Raises:
        ModelError: If the network has no attention, or its weights cannot be used.
        MissingExtraError: If torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("--method rollout", "train", error.name) from error
    from mien.backends.torch import load_network

    network: Any = load_network(recognizer.folder)
    if not hasattr(network, "forward_attention"):
        raise ModelError(
            f"{recognizer.config.name} has no attention to roll out: type --method gradcam or "
            "--method occlusion."
        )
    faces = torch.from_numpy(normalize(batch.crops, recognizer.config.preprocessing))
    with torch.inference_mode():
        shares = [
            roll_out(attention.numpy())[0, 1:]
            for part in torch.split(faces, _BATCH)
            for attention in network.forward_attention(part)
        ]
        plane = network.forward_features(faces[:1]).shape[2:]
    maps = np.reshape(shares, (len(columns), *plane)).astype(np.float32)
    maps -= maps.min(axis=(1, 2), keepdims=True)
    return maps
