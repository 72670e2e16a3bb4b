"""How long things take, side by side and in turns, and how far repeated measurements lie apart."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mien.arrays import F32
    from mien.backends import Backend


def times_in_turns(
    runs: Mapping[str, Callable[[], Any]], rounds: int, *, warm_up: int = 5
) -> dict[str, list[float]]:
    """Returns every time of each function in ms; they take turns, so that noise is shared."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(warm_up + rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: values[warm_up:] for name, values in times.items()}


def in_turns(runs: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Returns the median of :func:`times_in_turns` for each function."""
    return {name: float(np.median(times)) for name, times in times_in_turns(runs, rounds).items()}


def time_networks(
    networks: Mapping[str, tuple[Backend, F32]], rounds: int = 15
) -> dict[str, tuple[float, float]]:
    """Returns the median ms of one face alone, and per face of a batch (N, C, S, S), by network."""
    runs = {}
    for name, (backend, batch) in networks.items():
        runs[f"{name} 1"] = partial(backend.run, batch[:1])
        runs[f"{name} all"] = partial(backend.run, batch)
    times = in_turns(runs, rounds)
    return {
        name: (times[f"{name} 1"], times[f"{name} all"] / len(batch))
        for name, (_, batch) in networks.items()
    }


@dataclass(frozen=True)
class Spread:
    """What ``n`` repeated measurements say; ``low`` and ``high`` are the quartiles."""

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
        """Summarises measurements; percentiles are linear between neighbours."""
        array = np.array(list(values), dtype=np.float64)
        if not len(array) or not np.isfinite(array).all():
            raise ConfigError(f"a spread needs finite measurements; got {array.tolist()}.")
        return cls(len(array), *np.percentile(array, (50, 25, 75, 95, 99, 0, 100)).tolist())

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
