"""How a study searches: the settings of ``mien tune``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mien.config import Config, from_one, from_zero, one_of, option

#: What a trial is scored by, and whether more of it is better.
METRICS = {"accuracy": True, "macro_f1": True, "valid_loss": False}


@dataclass(frozen=True, kw_only=True)
class TuneConfig(Config):
    """What decides a search besides its recipe and space.

    Raises:
        ConfigError: If a name is unknown or a number impossible.

    >>> TuneConfig(trials=5).sampler
    'tpe'
    """

    env_prefix: ClassVar[str] = "MIEN_TUNE_"

    trials: int = from_one(20, "Finished trials in all, those of earlier runs counted in.")
    metric: str = one_of("Score on the valid split", *METRICS)
    sampler: str = one_of("How values are drawn; grid: each once", "tpe", "random", "grid")
    pruner: str = one_of("What ends hopeless trials early", "none", "median", "hyperband")
    timeout: float = from_zero(0.0, "Seconds after which this worker begins no more; 0: none.")
    storage: str = option(
        "", "URL of a database that workers share, or MIEN_TUNE_STORAGE; empty: study.db in -o."
    )
    study: str = option("", "Name of the study; empty: that of the output folder.")
    heartbeat: int = from_one(15, "Seconds between signs of life; one silent for four is dead.")
    seed: int = from_zero(0, "Seed of the search.")

    @property
    def maximise(self) -> bool:
        """Whether more of the metric is better."""
        return METRICS[self.metric]
