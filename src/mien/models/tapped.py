"""The last feature map of any network, on its way to the logits.

Most networks compute their logits from the last feature map alone: ``forward_features``, then
``forward_head``. A Vision Transformer does not, since its class token travels separately. It
offers ``forward_tapped(x, tap)`` in place of ``forward_head``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn


def forward_tapped(network: nn.Module, x: Tensor, tap: Callable[[Tensor], Tensor]) -> Tensor:
    """Runs a network with its last feature map passing through a function.

    Args:
        network: A network of the registry.
        x: (N, C, S, S).
        tap: Gets the map (N, F, h, w) and returns what the network goes on with.

    Returns:
        Logits (N, K).

    >>> import torch
    >>> from mien.models import create_model
    >>> network = create_model("mienet_test", num_classes=3).eval()
    >>> forward_tapped(network, torch.zeros(1, 1, 48, 48), torch.zeros_like).tolist()
    [[0.0, 0.0, 0.0]]
    """
    if hasattr(network, "forward_tapped"):
        logits: Tensor = network.forward_tapped(x, tap)  # type: ignore[operator]
    else:
        features = tap(network.forward_features(x))  # type: ignore[operator]
        logits = network.forward_head(features)  # type: ignore[operator]
    return logits


def logits_and_features(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Runs faces (N, C, S, S): logits (N, K) and the last feature map (N, F, h, w).

    >>> import torch
    >>> from mien.models import create_model
    >>> network = create_model("mienet_test", num_classes=3).eval()
    >>> [tuple(out.shape) for out in logits_and_features(network, torch.zeros(2, 1, 48, 48))]
    [(2, 3), (2, 32, 6, 6)]
    """
    seen: list[Tensor] = []

    def keep(features: Tensor) -> Tensor:
        seen.append(features)
        return features

    logits = forward_tapped(network, x, keep)
    return logits, seen[-1]
