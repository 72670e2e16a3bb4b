"""Files that appear whole or not at all; settings of the process that are put back."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mien.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path in the folder of ``path``; renames it at the end, drops it on error.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     target = pathlib.Path(folder) / "a.txt"
    ...     with replacing(target) as temporary:
    ...         _ = temporary.write_text("whole")
    ...     target.read_text()
    'whole'
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def naming_unwritable(folder: Path) -> Iterator[None]:
    """Turns the failure to change a model's folder into an error that says what to do.

    Raises:
        ConfigError: If a file cannot be written.
    """
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        reason = f"cannot be written ({why}): copy the folder, and give the copy as the model"
        raise ConfigError(reason, subject=folder) from error


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yields an empty folder next to ``path`` that takes its name at the end, or goes on error.

    What was at ``path`` stays until the new folder is whole.
    """
    mark = f"{os.getpid()}-{secrets.token_hex(4)}"
    temporary = path.with_name(f".{path.name}.{mark}")
    aside = path.with_name(f".{path.name}.{mark}.old")
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            path.rename(aside)
        try:
            temporary.rename(path)
        except OSError:
            if aside.exists():
                aside.rename(path)
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if aside.is_dir():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.unlink(missing_ok=True)


def check_free(path: Path, *, overwrite: bool, option: str = "-o") -> None:
    """Refuses a path where something is already, or whose folder is missing.

    ``option`` is the flag that names it, for the message.

    Raises:
        ConfigError: If it cannot be written.
    """
    if path.exists() and not overwrite:
        raise ConfigError(
            "exists already", subject=path, hint=f"Add --overwrite, or give another {option}."
        )
    if not path.parent.is_dir():
        raise ConfigError(
            f"cannot be written: there is no folder {path.parent}", subject=f"{option} {path}"
        )


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def environment(values: Mapping[str, str], *, keep: bool = False) -> Iterator[None]:
    """Sets environment variables until the context ends; ``keep`` leaves those that are set.

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
            os.environ.pop(name, None)
            if value is not None:
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
    before = [(logger, logger.level) for logger in map(logging.getLogger, names)]
    for logger, _ in before:
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, old in before:
            logger.setLevel(old)
