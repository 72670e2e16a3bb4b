"""Settings of the process that are changed for a while, and put back."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@contextmanager
def environment(values: Mapping[str, str], *, keep: bool = False) -> Iterator[None]:
    """Sets environment variables until the context ends.

    Args:
        values: Names and values.
        keep: Leave those that are set already.

    >>> with environment({"MIEN_EXAMPLE": "1"}):
    ...     os.environ["MIEN_EXAMPLE"]
    '1'
    >>> "MIEN_EXAMPLE" in os.environ
    False
    """
    before = {name: os.environ.get(name) for name in values}
    os.environ.update({n: v for n, v in values.items() if not keep or before[n] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def log_level(level: int, *names: str) -> Iterator[None]:
    """Sets the level of loggers until the context ends.

    >>> with log_level(logging.ERROR, "mien.example"):
    ...     logging.getLogger("mien.example").level == logging.ERROR
    True
    >>> logging.getLogger("mien.example").level == logging.NOTSET
    True
    """
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, old in zip(loggers, before, strict=True):
            logger.setLevel(old)
