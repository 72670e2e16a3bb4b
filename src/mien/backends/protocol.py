"""What a backend is: a batch goes in, logits (and the last feature map) come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from mien.arrays import F32


@dataclass(frozen=True)
class Outputs:
    """What a network says of N faces.

    Args:
        logits: float32 (N, K), before temperature and softmax.
        features: float32 (N, F, h, w), the last feature map, or None where there is none.
    """

    logits: F32
    features: F32 | None


class Backend(Protocol):
    """Runs one network; safe to call from several threads.

    Attributes:
        name: Short name.
    """

    name: str = "custom"

    def run(self, batch: F32, *, features: bool = False) -> Outputs:
        """Runs float32 (N, C, S, S); the feature map is returned only when asked for."""
        ...

    def single_threaded(self) -> Self:
        """Returns the same network with one thread per run, for callers that run in parallel."""
        return self
