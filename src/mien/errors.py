"""Every error that mien raises on purpose.

    MienError
    ├── InputError          a picture, clip or array that cannot be read or is not what it says
    ├── DetectorError       a face detector that failed on a picture
    ├── ModelError          a model folder or network that is missing, damaged or unfit
    ├── DataError           a dataset, manifest or label that does not add up
    ├── ConfigError         a recipe, flag or argument that is unknown or impossible (a ValueError)
    └── MissingExtraError   a part of mien that needs an extra which is not installed

An error says what was given (``subject``), why it cannot work (``reason``), and what to do instead
(``hint``); ``str(error)`` is the whole sentence.
"""

from __future__ import annotations

import difflib
import importlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "ConfigError",
    "DataError",
    "DetectorError",
    "InputError",
    "MienError",
    "MissingExtraError",
    "ModelError",
    "suggest",
]


#: Attribute of a log record that tells of a fault which did not end the work: a picture that is
#: left out, a label that a model lacks. The command line then ends with exit code 1.
FAULT = "fault"


class MienError(Exception):
    """Base of all errors that mien raises on purpose.

    Args:
        reason: Why it cannot work; the whole sentence where there is no subject.
        subject: What was given: a file, an option, a column.
        hint: What to do instead.

    >>> str(InputError("is empty", subject="a.jpg", hint="Fetch it again."))
    'a.jpg is empty. Fetch it again.'
    """

    def __init__(self, reason: object, *, subject: object = "", hint: str = "") -> None:
        super().__init__(str(reason))
        self.reason, self.subject, self.hint = str(reason), str(subject), hint

    def __str__(self) -> str:
        sentence = f"{self.subject} {self.reason}" if self.subject else self.reason
        if not self.hint:
            return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."
        return f"{sentence.rstrip('.')}. {self.hint.strip()}"

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is pickled by its arguments alone, which would lose subject and hint.
        return _rebuild, (type(self), self.reason, self.subject, self.hint)

    def about(self, subject: str, *, hint: str | None = None) -> Self:
        """Returns the same error about something else, with another hint where one is given.

        >>> str(InputError("is empty", subject="bytes (0)").about("a.jpg"))
        'a.jpg is empty.'
        """
        new = self.hint if hint is None else hint
        error: Self = _rebuild(type(self), self.reason, subject, new)
        error.__cause__ = self.__cause__
        return error


def _rebuild(cls: type[MienError], reason: str, subject: str, hint: str) -> Any:
    error = cls.__new__(cls)
    MienError.__init__(error, reason, subject=subject, hint=hint)
    return error


class InputError(MienError):
    """A picture, clip or array cannot be read, or is not what it claims to be."""


class DetectorError(MienError):
    """A face detector failed on a picture."""


class ModelError(MienError):
    """A model folder or network is missing, damaged, or unfit for what was asked."""


class DataError(MienError):
    """A dataset, manifest or label does not add up."""


class ConfigError(MienError, ValueError):
    """A recipe, flag or argument is unknown or impossible."""


class MissingExtraError(MienError, ImportError):
    """A part of mien was used whose libraries are not installed.

    Args:
        what: What was asked for, as the subject of a sentence.
        extra: The extra that brings it, for example ``"train"``.
        missing: Name of the module that failed to import.
    """

    def __init__(self, what: str, extra: str, missing: str | None = None) -> None:
        self.extra, self.missing = extra, missing
        because = f" ({missing} is not installed)" if missing else ""
        super().__init__(
            f"needs an extra{because}", subject=what, hint=f'Type: pip install "mien[{extra}]"'
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.subject, self.extra, self.missing)


@contextmanager
def needs_extra(what: str, extra: str) -> Iterator[None]:
    """Turns a failed import of a foreign module into a :class:`MissingExtraError`, which see.

    A module of mien that fails to import is a fault, and is raised as it is.
    """
    try:
        yield
    except ImportError as error:
        root = (error.name or "").partition(".")[0]
        if root == "mien" or isinstance(error, MissingExtraError):
            raise
        raise MissingExtraError(what, extra, error.name) from error


def import_extra(module: str, what: str, extra: str) -> Any:
    """Imports a module that only an extra of mien installs; see :func:`needs_extra`."""
    with needs_extra(what, extra):
        return importlib.import_module(module)


def first_line(error: object) -> str:
    """Returns the first line of what a foreign library said, at most 300 characters.

    >>> first_line("")
    'no reason given'
    """
    return (str(error).splitlines() or ["no reason given"])[0][:300]


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
