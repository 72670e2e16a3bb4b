"""How a study searches, and the space of it: keys of a recipe, each a range or choices."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from mien.config import (
    Config,
    Kind,
    check_keys,
    coerce,
    from_one,
    from_zero,
    kinds_of,
    one_of,
    option,
    read_values,
)
from mien.errors import ConfigError
from mien.training.config import TrainConfig

if TYPE_CHECKING:
    from pathlib import Path

    from optuna.trial import BaseTrial

#: Combinations that are tried before a value counts as impossible.
_TRIES = 256
#: What a trial is scored by, and whether more of it is better.
METRICS = {"accuracy": True, "macro_f1": True, "valid_loss": False}


@dataclass(frozen=True, kw_only=True)
class TuneConfig(Config):
    """What decides a search besides its recipe and space.

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


def show_value(value: object) -> str:
    """Returns a value of a trial as people read it.

    >>> show_value(0.012345678), show_value("adamw"), show_value(16)
    ('0.01235', 'adamw', '16')
    """
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Choice:
    """Two or more values to choose among, of the type of the recipe's key."""

    values: tuple[Any, ...]

    def draw(self, name: str, trial: BaseTrial) -> Any:
        """Lets a trial choose."""
        return trial.suggest_categorical(name, list(self.values))

    def ends(self) -> tuple[Any, ...]:
        """Returns the values whose being possible makes all possible: all of them."""
        return self.values

    def points(self, _name: str) -> list[Any]:
        """Returns the values that a grid visits."""
        return list(self.values)

    def to_plain(self) -> Any:
        """Returns it as YAML has it."""
        return list(self.values)


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included.

    ``log`` draws the logarithm evenly; ``step`` is the distance of the numbers from one another,
    None: all (1 for whole numbers).
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        """Whether these are whole numbers."""
        return isinstance(self.low, int)

    def draw(self, name: str, trial: BaseTrial) -> Any:
        """Lets a trial choose."""
        if self.whole:
            low, high, step = int(self.low), int(self.high), int(self.step or 1)
            return trial.suggest_int(name, low, high, step=step, log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def ends(self) -> tuple[Any, ...]:
        """Returns the values whose being possible makes all possible."""
        return self.low, self.high

    def points(self, name: str) -> list[Any]:
        """Returns the values that a grid visits."""
        step = self.step or (1 if self.whole else 0)
        if not step:
            raise ConfigError(
                f"--sampler grid visits every combination, but {name} is a continuous range: give "
                "it a step or a list of values, or take --sampler tpe."
            )
        count = math.floor((self.high - self.low) / step + 1e-9) + 1
        values = [self.low + index * step for index in range(count)]
        return values if self.whole else [round(value, 12) for value in values]

    def to_plain(self) -> Any:
        """Returns it as YAML has it."""
        plain = {key: value for key, value in asdict(self).items() if value}
        return {"low": self.low, "high": self.high, **plain}


Space = Mapping[str, Range | Choice]


def read_space(path: Path) -> dict[str, Range | Choice]:
    """Reads a space from a flat YAML file, see :func:`make_space`."""
    return make_space(read_values(path), source=str(path))


def make_space(values: Mapping[str, Any], *, source: str = "space") -> dict[str, Range | Choice]:
    """Builds a space of a recipe's keys, from ranges and lists of choices; ``source`` names it.

    >>> make_space({"lr": {"low": 0.01, "high": 0.3, "log": True}, "epochs": [2, 4]})
    {'lr': Range(low=0.01, high=0.3, log=True, step=None), 'epochs': Choice(values=(2, 4))}
    """
    if not values:
        reason = "is empty: give a key of the recipe, as in lr: [0.05, 0.1]"
        raise ConfigError(reason, subject=source)
    check_keys(values, [item.name for item in fields(TrainConfig)], source)
    space: dict[str, Range | Choice] = {}
    for key, value in values.items():
        where = f"{source}: {key}"
        if isinstance(value, dict):
            check_keys(value, ("low", "high", "log", "step"), where)
        try:
            space[key] = _read_dimension(key, value, kinds_of(TrainConfig)[key])
        except ConfigError as error:
            raise ConfigError(error, subject=f"{where}:") from error
    return space


def _read_dimension(key: str, given: Any, kind: Kind) -> Range | Choice:
    if key == "data":
        raise ConfigError("trials on different data cannot be compared: drop data")
    if isinstance(given, list):
        values = tuple(coerce(key, value, kind) for value in given)
        if len(set(values)) != len(values) or len(values) < 2:
            raise ConfigError(f"needs two different values or more, each once; got {given}")
        return Choice(values)
    if not isinstance(given, dict):
        reason = f"must be a list of values or {{low: ..., high: ...}}; got {given!r}"
        raise ConfigError(reason, hint="A value that stays the same stands in the recipe.")
    if kind.base not in (int, float):
        raise ConfigError("is no number: give a list of values")
    if not {"low", "high"} <= set(given):
        raise ConfigError(f"a range needs low and high; got {given}")
    low, high = (coerce(name, given[name], kind) for name in ("low", "high"))
    log = coerce("log", given.get("log", False), Kind(bool))
    step = coerce("step", given["step"], kind) if given.get("step") is not None else None
    if low >= high:
        raise ConfigError(f"low ({low}) must be below high ({high})")
    if log and (low <= 0 or step is not None):
        raise ConfigError("log needs a low above 0 and goes without a step")
    if step is not None:
        if not 0 < step <= high - low:
            raise ConfigError(f"step must lie above 0 and fit the range; got {step}")
        # The last step that fits is the end, as the sampler has it too.
        reached = low + math.floor((high - low) / step + 1e-9) * step
        high = reached if kind.base is int else round(reached, 12)
    return Range(low, high, log, step)


def check_space(space: Space, recipe: TrainConfig) -> None:
    """Checks that every end of a range and every choice makes a recipe.

    A value may need other ones (``freeze_epochs`` needs ``freeze: features``), so that
    combinations are tried before it is refused.
    """
    rng = random.Random(0)  # noqa: S311 - combinations, no secrets
    for key, dimension in space.items():
        others = {name: found.ends() for name, found in space.items() if name != key}
        for value in dimension.ends():
            refusal = _refusal(recipe, {key: value})
            if refusal is None or any(
                _refusal(recipe, {**_draw(others, rng), key: value}) is None
                for _ in range(_TRIES if others else 0)
            ):
                continue
            raise ConfigError(f"space: {key} cannot be {value!r}: {refusal}") from refusal


def _draw(ends: Mapping[str, tuple[Any, ...]], rng: random.Random) -> dict[str, Any]:
    return {name: rng.choice(values) for name, values in ends.items()}


def _refusal(recipe: TrainConfig, values: Mapping[str, Any]) -> ConfigError | None:
    try:
        TrainConfig.make({**recipe.to_dict(), **values})
    except ConfigError as error:
        return error
    return None
