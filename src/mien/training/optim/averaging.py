"""Averaged weights: how the average of a training follows its network."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


def ema_update(
    kept: Sequence[Tensor], new: Sequence[Tensor], count: Tensor | int, *, decay: float
) -> None:
    """Moves averages towards new values, in place: the ``multi_avg_fn`` of an ``AveragedModel``.

    Args:
        kept: The averages.
        new: The values now.
        count: How many were averaged before.
        decay: Share of an average that stays; less at first, so that a random start is forgotten
            in a few hundred steps. Whole numbers, counters of batch norms, are copied.
    """
    now = min(decay, (1 + int(count)) / (10 + int(count)))
    for old, value in zip(kept, new, strict=True):
        if old.is_floating_point():
            old.lerp_(value.to(old.dtype), 1 - now)
        else:
            old.copy_(value)
