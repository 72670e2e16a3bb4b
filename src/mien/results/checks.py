"""Checks of the values that results are made of; numpy scalars become Python's own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from mien.errors import ConfigError, suggest


def store(record: object, **values: object) -> None:
    """Sets fields of a frozen dataclass while it is being made."""
    for name, value in values.items():
        object.__setattr__(record, name, value)


def text(name: str, value: object) -> str:
    """Returns a str as it is, or raises ``ConfigError``."""
    if not isinstance(value, str):
        raise ConfigError(f"expected a text, got {value!r}", subject=f"{name}:")
    return value


def whole(name: str, value: Any, low: int) -> int:
    """Returns an int of at least ``low``, or raises ``ConfigError``."""
    try:
        number = int(value)
        exact = number == value and not isinstance(value, bool)
    except (TypeError, ValueError, OverflowError):
        exact = False
    if not exact or number < low:
        reason = f"expected a whole number of at least {low}, got {value!r}"
        raise ConfigError(reason, subject=f"{name}:")
    return number


def items(name: str, value: object) -> tuple[Any, ...]:
    """Returns the items of a list, tuple or array, or raises ``ConfigError``."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise ConfigError(f"expected a sequence, got {value!r}", subject=f"{name}:")
    return tuple(value)


def texts(name: str, value: object) -> tuple[str, ...]:
    """Returns the texts of a sequence, or raises ``ConfigError``."""
    return tuple(text(name, each) for each in items(name, value))


def mapping(name: str, value: object) -> Mapping[Any, Any]:
    """Returns a mapping as it is, or raises ``ConfigError``."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"expected a mapping, got {value!r}", subject=f"{name}:")
    return value


def finite_floats(name: str, value: object, count: int) -> tuple[Any, ...]:
    """Returns ``count`` finite Python floats, or raises ``ConfigError``."""
    numbers = items(name, value)
    if len(numbers) != count:
        raise ConfigError(f"expected {count} numbers, got {len(numbers)}", subject=f"{name}:")
    try:
        floats = tuple(float(number) for number in numbers)
    except (TypeError, ValueError):
        raise ConfigError(f"expected numbers, got {numbers!r}", subject=f"{name}:") from None
    if any(isinstance(number, (str, bool)) for number in numbers) or not all(
        math.isfinite(number) for number in floats
    ):
        raise ConfigError(f"expected finite numbers, got {numbers!r}", subject=f"{name}:")
    return floats


def share(name: str, value: object) -> float:
    """Returns a number from 0 to 1 (rounding errors are cut off), or raises ``ConfigError``."""
    number: float = finite_floats(name, [value], 1)[0]
    if not -1e-6 <= number <= 1 + 1e-6:
        raise ConfigError(f"expected a number from 0 to 1, got {value!r}", subject=f"{name}:")
    return min(max(number, 0.0), 1.0)


def shares(name: str, value: object) -> dict[str, float]:
    """Returns numbers from 0 to 1 by label, or raises ``ConfigError``."""
    return {
        text(f"{name} label", label): share(f"{name}[{label!r}]", number)
        for label, number in mapping(name, value).items()
    }


def plain(value: Any) -> Any:
    """Turns records, tuples and mappings into dicts and lists."""
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(entry) for entry in value]
    return value


def arguments(cls: Any, value: object) -> dict[str, Any]:
    """Returns the constructor's arguments from a record's ``to_dict`` form."""
    name = cls.__name__
    fields_given = dict(mapping(name, value))
    version = cls._version
    if version is not None and (given := fields_given.pop("schema_version", version)) != version:
        reason = f"this version of mien reads schema_version {version}, not {given!r}"
        hint = (
            "An earlier version of mien wrote it: read the picture again."
            if given == 1
            else "Type: pip install -U mien"
        )
        raise ConfigError(reason, subject=f"{name}:", hint=hint)
    known = [f.name for f in fields(cls)]
    for key in fields_given:
        if key not in known:
            raise ConfigError(f"{name}: unknown key {key!r}." + suggest(str(key), known))
    needed = [f.name for f in fields(cls) if f.default is MISSING]
    missing = [key for key in needed if key not in fields_given]
    if missing:
        raise ConfigError(f"missing {', '.join(missing)}", subject=f"{name}:")
    return fields_given
