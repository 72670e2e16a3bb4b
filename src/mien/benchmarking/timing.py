"""How long things take, side by side and in turns."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from mien.backends import Backend


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


def time_networks(
    networks: Mapping[str, tuple[Backend, NDArray[np.float32]]], rounds: int = 15
) -> dict[str, tuple[float, float]]:
    """Returns the median ms of one face alone, and per face of a batch, for each network.

    Args:
        networks: Name -> the network and its batch, (N, C, S, S).
        rounds: Turns after those to warm up.
    """
    runs = {}
    for name, (backend, batch) in networks.items():
        runs[f"{name} 1"] = partial(backend.run, batch[:1])
        runs[f"{name} all"] = partial(backend.run, batch)
    times = in_turns(runs, rounds)
    return {
        name: (times[f"{name} 1"], times[f"{name} all"] / len(batch))
        for name, (_, batch) in networks.items()
    }
