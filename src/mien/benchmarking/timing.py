"""How long things take, side by side and in turns."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def in_turns(
    runs: Mapping[str, Callable[[], Any]], rounds: int, *, warm_up: int = 5
) -> dict[str, float]:
    """Returns the median time of each function in ms; they take turns, so that noise is shared.

    Args:
        runs: Functions by name.
        rounds: Runs of each that count.
        warm_up: Runs of each before those.

    >>> sorted(in_turns({"a": list, "b": dict}, 3))
    ['a', 'b']
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + warm_up):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if number >= warm_up:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: float(np.median(values)) for name, values in times.items()}
