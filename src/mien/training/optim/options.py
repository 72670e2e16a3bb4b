"""Fields of a recipe: a default with its help, values brought to their type, bounds checked."""

from __future__ import annotations

import math
from dataclasses import field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mien.errors import ConfigError, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

Recipe = TypeVar("Recipe")
#: Lowest value, highest value, and whether the highest is itself allowed.
Bounds = tuple[float, float, bool]
_KINDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


def option(default: Any, help_text: str) -> Any:
    """Returns a dataclass field whose help is its documentation and that of its flag."""
    return field(default=default, metadata={"help": help_text})


def coerce(name: str, value: Any, kind: type) -> Any:
    """Brings the value of a field to its type.

    Args:
        name: The field.
        value: From YAML, the command line or Python.
        kind: ``str``, ``int``, ``float`` or ``bool``.

    Raises:
        ConfigError: If the value is none of that kind.

    >>> coerce("epochs", "3", int), coerce("precision", 32, str)
    (3, '32')
    """
    refused = ConfigError(f"must be {_KINDS[kind]}; got {value!r}", subject=name)
    if (kind is bool) is not isinstance(value, bool) or value is None:
        raise refused
    if kind is bool:
        return value
    if kind is str:
        # YAML reads `precision: 32` as a number.
        if isinstance(value, (str, int, Path)):
            return str(value)
        raise refused
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise refused from None
    if not math.isfinite(number) or (kind is int and number != int(number)):
        raise refused
    return int(number) if kind is int else number


def check_bounds(values: Any, bounds: Mapping[str, Bounds]) -> None:
    """Checks the numbers of a config.

    Args:
        values: An object with the fields as attributes.
        bounds: By field.

    Raises:
        ConfigError: If a number is out of its bounds.
    """
    for name, (low, high, closed) in bounds.items():
        value = getattr(values, name)
        if not (low <= value <= high) or (value == high and not closed):
            upper = "" if high == math.inf else f" and {'at most' if closed else 'below'} {high:g}"
            floor = "above 0" if 0 < low < 1 else f"at least {low:g}"
            raise ConfigError(f"must be {floor}{upper}; got {value!r}", subject=name)


def build(kind: type[Recipe], values: Mapping[str, Any], source: str) -> Recipe:
    """Builds a recipe, a dataclass, from keys and values.

    Args:
        kind: The dataclass.
        values: By field.
        source: Where they come from, for the message.

    Raises:
        ConfigError: If a key is unknown; the closest ones are named.
    """
    known = [item.name for item in fields(kind)]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise ConfigError(f"{source}: unknown key {key!r}." + suggest(str(key), known))
    return kind(**values)
