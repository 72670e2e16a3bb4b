"""Attention rollout for networks with attention (train extra).

Abnar and Zuidema 2020 (https://arxiv.org/abs/2005.00928): information flows from token to token
along the attention of each block, half of it past the block over its shortcut. Multiplied from the
first block to the last, that says how much of each patch reaches the class token. It shows what
the network reads, whatever the label.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.backends.torch import load_network
from mien.errors import InputError, ModelError, needs_extra
from mien.explanation.methods import FaceBatch, register_method
from mien.preprocess import normalize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor, nn

    from mien.arrays import F32, F64, I64, Floats
    from mien.recognizer import EmotionRecognizer

_BATCH = 32


def roll_out(attention: Floats) -> F64:
    """Multiplies the attention of L blocks (L, heads, T, T), each averaged with its shortcut.

    The result (T, T) says how much of each token of the input is in each of the last block; all
    rows sum to 1.
    """
    if attention.ndim != 4 or attention.shape[2] != attention.shape[3]:
        raise InputError(f"expected attention (L, heads, T, T); got {attention.shape}.")
    shortcut = np.eye(attention.shape[3])
    flow = shortcut
    for block in attention.astype(np.float64).mean(axis=1):
        flow = (block + shortcut) / 2 @ flow
    return flow


def attends(network: nn.Module) -> bool:
    """Says whether a network is ours with ``forward_attention`` or a Vision Transformer of timm."""
    if hasattr(network, "forward_attention"):
        return True
    backbone: Any = getattr(network, "backbone", None)
    blocks = list(getattr(backbone, "blocks", ()))
    return (
        getattr(backbone, "cls_token", None) is not None
        and getattr(backbone, "num_prefix_tokens", 0) > 0
        and bool(blocks)
        and all(
            hasattr(getattr(block, "attn", None), name)
            for block in blocks
            for name in ("fused_attn", "attn_drop")
        )
    )


def attention_weights(network: nn.Module, x: Tensor) -> Tensor:
    """Runs faces (N, C, S, S): each block's attention (N, L, heads, T, T), whose rows sum to 1."""
    import torch

    if hasattr(network, "forward_attention"):
        weights: Tensor = network.forward_attention(x)  # type: ignore[operator]
        return weights
    backbone: Any = network.backbone
    with _seen_attention([block.attn for block in backbone.blocks]) as seen:
        backbone.forward_features(x)
    return torch.stack(seen, dim=1)


@contextmanager
def _seen_attention(modules: Sequence[Any]) -> Iterator[list[Tensor]]:
    """Yields a list that gets the attention of timm's modules, in the order they run.

    The fused kernel never forms the weights, so that it is off meanwhile; the weights pass
    through the module's dropout, which changes nothing in eval mode.
    """
    seen: list[Tensor] = []
    with ExitStack() as after:
        for module in modules:
            after.callback(setattr, module, "fused_attn", module.fused_attn)
            module.fused_attn = False
            hook = module.attn_drop.register_forward_hook(lambda *given: seen.append(given[2]))
            after.callback(hook.remove)
        yield seen


@register_method("rollout", summary="attention to each patch; knows no label", extra="train")
def rollout(recognizer: EmotionRecognizer, batch: FaceBatch, columns: I64) -> F32:
    """Attention of the class token: each patch's share above the least attended one's (N, h, w)."""
    with needs_extra("--method rollout", "train"):
        import torch

    network: Any = load_network(recognizer.folder)
    if not attends(network):
        reason = "has no attention to roll out: type --method gradcam or --method occlusion"
        raise ModelError(reason, subject=recognizer.config.name)
    faces = torch.from_numpy(normalize(batch.crops, recognizer.config.preprocessing))
    with torch.inference_mode():
        plane = network.forward_features(faces[:1]).shape[2:]
        shares = [
            roll_out(attention.numpy())[0, -plane.numel() :]
            for part in torch.split(faces, _BATCH)
            for attention in attention_weights(network, part)
        ]
    maps = np.reshape(shares, (len(columns), *plane)).astype(np.float32)
    maps -= maps.min(axis=(1, 2), keepdims=True)
    return maps
