"""The space that a study searches: keys of a recipe, each with a range or with choices."""

from __future__ import annotations

import math
import random
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from mien.config import Kind, check_keys, coerce, kinds_of, read_values
from mien.errors import ConfigError
from mien.training.config import TrainConfig

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from optuna.trial import BaseTrial

    Space = Mapping[str, "Range | Choice"]

_RANGE_KEYS = ("low", "high", "log", "step")
#: Combinations that are tried before a value counts as impossible.
_TRIES = 256


@dataclass(frozen=True)
class Choice:
    """Values to choose among.

    Args:
        values: Two or more, of the type of the recipe's key.
    """

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

    Args:
        low: The lowest.
        high: The highest.
        log: Draw the logarithm evenly.
        step: Distance of the numbers from one another; None: all (1 for whole numbers).
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
        """Returns the values that a grid visits.

        Raises:
            ConfigError: If they are without number.
        """
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
        return {key: value for key, value in asdict(self).items() if value}


def read_space(path: Path) -> dict[str, Range | Choice]:
    """Reads a space from a flat YAML file.

    Raises:
        ConfigError: If it cannot be read, or see :func:`make_space`.
        MissingExtraError: If PyYAML is not installed.
    """
    return make_space(read_values(path), source=str(path))


def make_space(values: Mapping[str, Any], *, source: str = "space") -> dict[str, Range | Choice]:
    """Builds a space of a recipe's keys.

    Args:
        values: Key -> ``{low: 0.01, high: 0.3, log: true}``, ``{low: 1, high: 4, step: 1}``, or a
            list of choices.
        source: Where they come from, for messages.

    Raises:
        ConfigError: If it is empty, a key is no key of a recipe (the closest ones are named), or
            a range or list does not hold together.

    >>> make_space({"lr": {"low": 0.01, "high": 0.3, "log": True}, "epochs": [2, 4]})
    {'lr': Range(low=0.01, high=0.3, log=True, step=None), 'epochs': Choice(values=(2, 4))}
    """
    if not values:
        raise ConfigError(
            "is empty: give a key of the recipe, as in lr: [0.05, 0.1]", subject=source
        )
    check_keys(values, [item.name for item in fields(TrainConfig)], source)
    space: dict[str, Range | Choice] = {}
    for key, value in values.items():
        if key == "data":
            raise ConfigError(
                "trials on different data cannot be compared: drop data", subject=f"{source}:"
            )
        where = f"{source}: {key}"
        if isinstance(value, list):
            space[key] = _choice(value, key, where)
        elif isinstance(value, dict):
            space[key] = _range(value, kinds_of(TrainConfig)[key], where)
        else:
            raise ConfigError(
                f"must be a list of values or {{low: ..., high: ...}}; got {value!r}",
                subject=where,
                hint="A value that stays the same stands in the recipe.",
            )
    return space


def _choice(values: list[Any], key: str, where: str) -> Choice:
    try:
        coerced = tuple(coerce(key, value, kinds_of(TrainConfig)[key]) for value in values)
    except ConfigError as error:
        raise ConfigError(error, subject=f"{where}:") from error
    if len(set(coerced)) != len(coerced) or len(coerced) < 2:
        raise ConfigError(
            f"needs two different values or more, each once; got {values}", subject=where
        )
    return Choice(coerced)


def _range(given: dict[str, Any], kind: Kind, where: str) -> Range:
    check_keys(given, _RANGE_KEYS, where)
    if kind.base not in (int, float):
        raise ConfigError("is no number: give a list of values", subject=where)
    if not {"low", "high"} <= set(given):
        raise ConfigError(f"a range needs low and high; got {given}", subject=f"{where}:")
    try:
        low, high = (coerce(name, given[name], kind) for name in ("low", "high"))
        log = coerce("log", given.get("log", False), Kind(bool))
        step = coerce("step", given["step"], kind) if given.get("step") is not None else None
    except ConfigError as error:
        raise ConfigError(error, subject=f"{where}:") from error
    if low >= high:
        raise ConfigError(f"low ({low}) must be below high ({high})", subject=f"{where}:")
    if log and (low <= 0 or step is not None):
        raise ConfigError("log needs a low above 0 and goes without a step", subject=f"{where}:")
    if step is not None and not 0 < step <= high - low:
        raise ConfigError(
            f"step must lie above 0 and fit the range; got {step}", subject=f"{where}:"
        )
    if step is not None:
        # The last step that fits is the end, as the sampler has it too.
        reached = low + math.floor((high - low) / step + 1e-9) * step
        high = reached if kind.base is int else round(reached, 12)
    return Range(low, high, log, step)


def check_space(space: Space, recipe: TrainConfig) -> None:
    """Checks that every end of a range and every choice makes a recipe.

    A value may need other ones (``freeze_epochs`` needs ``freeze: features``), so that
    combinations are tried before it is refused.

    Raises:
        ConfigError: If a value makes none.
    """
    rng = random.Random(0)  # noqa: S311 - combinations, no secrets
    for key, dimension in space.items():
        others = {name: found.ends() for name, found in space.items() if name != key}
        for value in dimension.ends():
            refusal = _refusal(recipe, {key: value})
            for _ in range(_TRIES if refusal and others else 0):
                drawn = {name: rng.choice(ends) for name, ends in others.items()}
                if _refusal(recipe, {**drawn, key: value}) is None:
                    refusal = None
                    break
            if refusal:
                raise ConfigError(f"space: {key} cannot be {value!r}: {refusal}") from refusal


def _refusal(recipe: TrainConfig, values: Mapping[str, Any]) -> ConfigError | None:
    try:
        TrainConfig.make({**recipe.to_dict(), **values})
    except ConfigError as error:
        return error
    return None
