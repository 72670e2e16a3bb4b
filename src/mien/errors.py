"""Every error that mien raises on purpose.

    MienError
    ├── InputError          a picture, clip or array that cannot be read or is not what it says
    ├── ModelError          a model folder or network that is missing, damaged or unfit
    ├── DataError           a dataset, manifest or label that does not add up
    ├── ConfigError         a recipe, flag or argument that is unknown or impossible
    └── MissingExtraError   a part of mien that needs an extra which is not installed

Messages say what was given, why it cannot work, and what to do instead.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


class MienError(Exception):
    """Base of all errors that mien raises on purpose."""


class InputError(MienError):
    """A picture, clip or array cannot be read, or is not what it claims to be."""


class ModelError(MienError):
    """A model folder or network is missing, damaged, or unfit for what was asked."""


class DataError(MienError):
    """A dataset, manifest or label does not add up."""


class ConfigError(MienError):
    """A recipe, flag or argument is unknown or impossible."""


class MissingExtraError(MienError, ImportError):
    """A part of mien was used whose libraries are not installed.

    Args:
        what: What was asked for, as the subject of a sentence.
        extra: The extra that brings it, for example ``"train"``.
        missing: Name of the module that failed to import.
    """

    def __init__(self, what: str, extra: str, missing: str | None = None) -> None:
        self.what, self.extra, self.missing = what, extra, missing
        because = f" ({missing} is not installed)" if missing else ""
        super().__init__(f'{what} needs an extra{because}. Type: pip install "mien[{extra}]"')

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is pickled by its message alone, which would not rebuild this one: the
        # process pool that a worker raised it in would break instead of reporting it.
        return type(self), (self.what, self.extra, self.missing)


def suggest(given: str, known: Iterable[str]) -> str:
    """Returns ``" Did you mean 'x'?"`` for the closest known names, else the whole list.

    >>> suggest("epohs", ["epochs", "lr"])
    " Did you mean 'epochs'?"
    >>> suggest("zzz", ["b", "a"])
    ' Known: a, b.'
    """
    names = sorted(known)
    close = difflib.get_close_matches(given, names, n=2, cutoff=0.6)
    if close:
        return " Did you mean " + " or ".join(f"'{name}'" for name in close) + "?"
    return f" Known: {', '.join(names)}." if names else ""
