"""Two models on the same faces."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import ConfigError

if TYPE_CHECKING:
    from mien.evaluation.scores import Evaluation


@dataclass(frozen=True)
class Comparison:
    """Two models on the same N faces, for McNemar's test (1947).

    Args:
        both: Faces on which both are right.
        first_only: Only the first is.
        second_only: Only the second is.
        neither: Neither is.
    """

    both: int
    first_only: int
    second_only: int
    neither: int

    @property
    def n(self) -> int:
        """Number of faces."""
        return self.both + self.first_only + self.second_only + self.neither

    @property
    def difference(self) -> float:
        """Accuracy of the second minus that of the first."""
        return (self.second_only - self.first_only) / self.n

    @property
    def difference_ci(self) -> tuple[float, float]:
        """95 % interval of the difference for paired faces (Wald)."""
        b, c, n = self.first_only, self.second_only, self.n
        spread = 1.959964 * max(b + c - (b - c) ** 2 / n, 0.0) ** 0.5 / n
        return self.difference - spread, self.difference + spread

    @property
    def p_value(self) -> float:
        """Exact two-sided p-value of McNemar's test: are both equally often right?"""
        fewer, n = min(self.first_only, self.second_only), self.first_only + self.second_only
        tail = sum(comb(n, k) for k in range(fewer + 1))
        p: float = min(1.0, 2 * tail / 2**n)
        return p

    def sentence(self, first: str, second: str) -> str:
        """Returns the result in words, for models of these names."""
        low, high = self.difference_ci
        verdict = "a difference beyond chance" if self.p_value < 0.05 else "may well be chance"
        return (
            f"A is {first}, B is {second}. Both are right on {self.both} faces and wrong on "
            f"{self.neither}; only A is right on {self.first_only}, only B on {self.second_only}. "
            f"B minus A: {self.difference * 100:+.2f} points (95 %: {low * 100:+.2f} to "
            f"{high * 100:+.2f}), McNemar's exact p = {self.p_value:.2g}: {verdict}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types."""
        return {
            "both": self.both, "first_only": self.first_only, "second_only": self.second_only,
            "neither": self.neither, "difference": self.difference,
            "difference_ci": list(self.difference_ci), "mcnemar_p": self.p_value,
        }  # fmt: skip


def compare(first: Evaluation, second: Evaluation) -> Comparison:
    """Counts on which faces two models are right.

    Raises:
        ConfigError: If they were not evaluated on the same faces with the same labels.

    >>> Comparison(both=5, first_only=1, second_only=4, neither=0).p_value
    0.375
    """
    same = first.keys == second.keys and first.labels == second.labels
    if not same or not np.array_equal(first.class_ids, second.class_ids):
        raise ConfigError(
            "the two models were not evaluated on the same faces and labels",
            hint="Evaluate both on one split of one dataset, read with the same labels.",
        )
    one, two = first.predicted == first.class_ids, second.predicted == second.class_ids
    return Comparison(
        both=int((one & two).sum()),
        first_only=int((one & ~two).sum()),
        second_only=int((~one & two).sum()),
        neither=int((~one & ~two).sum()),
    )
