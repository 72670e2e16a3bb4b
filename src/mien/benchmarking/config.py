"""What a benchmark measures, and how often."""

from __future__ import annotations

import os
from dataclasses import dataclass

from mien.config import Config, from_one, from_zero, option
from mien.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig(Config):
    """The settings of ``mien benchmark``; a p99 of under 100 photos is little but the slowest."""

    models: tuple[str, ...] = option(
        (), "Model folder or bundled name; repeat it.", flag="--model", short="-m"
    )
    detector: str | None = option(None, "Face detector: NAME or NAME:FILE.")
    device: str = option("auto", "auto, cpu, cuda or cuda:1.")
    batch_sizes: tuple[int, ...] = from_one(
        (1, 8, 32), "Faces per network run, with commas.", repeat=False
    )
    threads: tuple[int, ...] = from_one(
        lambda: tuple(sorted({1, os.cpu_count() or 1})),
        "Threads per network run, with commas.",
        repeat=False,
    )
    repeats: int = from_one(100, "Photos answered for the latency; as many as given at least.")
    rounds: int = from_one(15, "Turns of each throughput and ratio.")
    starts: int = from_zero(5, "Fresh processes per model, after one that only warms the disk.")
    warm_up: int = from_zero(3, "Runs of everything before those that count.")

    def check(self) -> None:
        """Refuses lists of numbers that are empty or hold one twice."""
        for flag, values in (("--batch-sizes", self.batch_sizes), ("--threads", self.threads)):
            if not values or len(set(values)) < len(values):
                shown = ",".join(map(str, values)) or "nothing"
                reason = f"takes different whole numbers above 0, such as 1,8,32; got {shown}"
                raise ConfigError(reason, subject=flag)
