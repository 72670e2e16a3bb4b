"""Paths as people type them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import InputError

if TYPE_CHECKING:
    import os


def expand(path: str | os.PathLike[str]) -> Path:
    """Returns a path with ``~`` and ``~user`` filled in.

    Raises:
        InputError: If there is no such user.

    >>> expand("a/b.jpg").as_posix()
    'a/b.jpg'
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        reason = "names a user who is not known here"
        hint = "Write the whole path, or ./~NAME for a file that is really called so."
        raise InputError(reason, subject=repr(str(path)), hint=hint) from error
