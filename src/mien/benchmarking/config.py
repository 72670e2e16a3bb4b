"""What a benchmark measures, and how often."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from mien.errors import ConfigError


def _one_and_all() -> tuple[int, ...]:
    return tuple(sorted({1, os.cpu_count() or 1}))


@dataclass(frozen=True)
class BenchmarkConfig:
    """The settings of ``mien benchmark``.

    Args:
        models: Model folders or bundled names; empty: the default model.
        detector: A detector's name, or None for the default one.
        batch_sizes: Faces per network run.
        threads: Threads per network run.
        repeats: Photos answered for the latency; at least as many as there are photos. A p99 of
            fewer than 100 is little more than the slowest.
        rounds: Turns of each throughput and each ratio.
        starts: Fresh processes, after one that only warms the file cache.
        warm_up: Runs of everything before those that count.

    Raises:
        ConfigError: If a number is impossible.

    >>> BenchmarkConfig(threads=(1,)).rounds
    15
    """

    models: tuple[str, ...] = ()
    detector: str | None = None
    batch_sizes: tuple[int, ...] = (1, 8, 32)
    threads: tuple[int, ...] = field(default_factory=_one_and_all)
    repeats: int = 100
    rounds: int = 15
    starts: int = 5
    warm_up: int = 3

    def __post_init__(self) -> None:
        for flag, values in (("--batch-sizes", self.batch_sizes), ("--threads", self.threads)):
            if not values or min(values) < 1 or len(set(values)) < len(values):
                raise ConfigError(
                    (
                        "takes different whole numbers above 0, such as 1,8,32; got "
                        f"{','.join(map(str, values)) or 'nothing'}"
                    ),
                    subject=flag,
                )
        for name, least in (("repeats", 1), ("rounds", 1), ("starts", 0), ("warm_up", 0)):
            if getattr(self, name) < least:
                raise ConfigError(
                    f"--{name.replace('_', '-')} must be at least {least}; "
                    f"got {getattr(self, name)}."
                )
