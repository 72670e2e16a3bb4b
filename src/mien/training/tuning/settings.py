"""How a study searches: one flat dataclass, whose fields are the flags of ``mien tune``."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import get_type_hints

from mien.errors import ConfigError, suggest
from mien.training.optim.options import check_bounds, coerce, option

#: What a trial is scored by, and whether more of it is better.
METRICS = {"accuracy": True, "macro_f1": True, "valid_loss": False}
SAMPLERS = ("tpe", "random", "grid")
PRUNERS = ("none", "median", "hyperband")


@dataclass(frozen=True, kw_only=True)
class TuneSettings:
    """What decides a search, other than its recipe and space. Each field's help documents it.

    Raises:
        ConfigError: If a name is unknown or a number impossible.

    >>> TuneSettings(trials=5).sampler
    'tpe'
    """

    trials: int = option(20, "Finished trials in all, those of earlier runs counted in.")
    metric: str = option("accuracy", "accuracy, macro_f1 or valid_loss, on the valid split.")
    sampler: str = option("tpe", "tpe, random, or grid: every combination once.")
    pruner: str = option("none", "none, median or hyperband: ends hopeless trials early.")
    timeout: float = option(0.0, "Seconds after which this worker begins no more; 0: none.")
    storage: str = option("", "URL of a database that workers share; empty: study.db in -o.")
    study: str = option("", "Name of the study; empty: that of the output folder.")
    heartbeat: int = option(15, "Seconds between signs of life; one silent for four is dead.")
    seed: int = option(0, "Seed of the search.")

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for item in fields(self):
            value = getattr(self, item.name)
            object.__setattr__(self, item.name, coerce(item.name, value, hints[item.name]))
        numbers = {"trials": 1, "heartbeat": 1, "timeout": 0, "seed": 0}
        check_bounds(self, {name: (low, math.inf, True) for name, low in numbers.items()})
        for name, known in (("metric", METRICS), ("sampler", SAMPLERS), ("pruner", PRUNERS)):
            if getattr(self, name) not in known:
                given = getattr(self, name)
                raise ConfigError(f"{name} {given!r} is unknown." + suggest(given, known))

    @property
    def maximise(self) -> bool:
        """Whether more of the metric is better."""
        return METRICS[self.metric]
