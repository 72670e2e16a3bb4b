"""Repeated measurements as a median and how far they lie apart."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Spread:
    """What repeated measurements of one thing say.

    Args:
        n: Number of measurements.
        median: The middle one.
        low: First quartile.
        high: Third quartile.
        p95: 95th percentile, linear between neighbours as the others are.
        p99: 99th percentile.
        least: Smallest.
        most: Largest.
    """

    n: int
    median: float
    low: float
    high: float
    p95: float
    p99: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Summarises measurements.

        Raises:
            ConfigError: If there is none, or one is not finite.

        >>> Spread.of([4, 1, 3, 2, 5]).median
        3.0
        """
        array = np.array(list(values), dtype=np.float64)
        if not len(array) or not np.isfinite(array).all():
            raise ConfigError(f"a spread needs finite measurements; got {array.tolist()}.")
        low, median, high, p95, p99 = np.percentile(array, (25, 50, 75, 95, 99)).tolist()
        return cls(len(array), median, low, high, p95, p99, float(array.min()), float(array.max()))

    def to_dict(self) -> dict[str, float]:
        """Returns plain JSON types, rounded to six digits that count; ``n`` as it is."""
        values = {name: float(f"{value:.6g}") for name, value in asdict(self).items()}
        return {**values, "n": self.n}

    def text(self, digits: int = 1) -> str:
        """Returns the median with its quartiles, as every figure is printed.

        >>> Spread.of([1, 2, 3, 4, 5]).text()
        '3.0 (2.0 to 4.0)'
        """
        return f"{self.median:,.{digits}f} ({self.low:,.{digits}f} to {self.high:,.{digits}f})"
