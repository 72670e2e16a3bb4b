"""Files that appear whole or not at all; settings of the process that are put back."""

from __future__ import annotations

import errno
import logging
import os
import re
import secrets
import shutil
import signal
import sys
import threading
import warnings
from contextlib import contextmanager, redirect_stdout, suppress
from typing import TYPE_CHECKING, Any, cast

from mien.errors import ConfigError, MienError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def is_full(error: BaseException | None) -> bool:
    """Says whether an error of the system is that of a disk without room.

    >>> is_full(OSError(errno.ENOSPC, "No space left on device")), is_full(OSError("x"))
    (True, False)
    """
    return getattr(error, "errno", None) in _FULL


class _UnwritableError(MienError, OSError):
    """A disk that is full or read-only; still an OSError, for whoever knows more to say."""


@contextmanager
def _naming_full(path: Path) -> Iterator[None]:
    try:
        yield
    except _UnwritableError:
        raise
    except OSError as error:
        if not is_full(error) and error.errno != errno.EROFS:
            raise
        reason, hint = (
            f"cannot be written: {error.strerror}",
            "Free some space, or write elsewhere.",
        )
        told = _UnwritableError(reason, subject=path, hint=hint)
        told.errno, told.strerror = error.errno, error.strerror
        raise told from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path next to ``path``; renames it at the end, drops it on error."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{path.suffix}")
    try:
        with _naming_full(path):
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def naming_unwritable(folder: Path) -> Iterator[None]:
    """Turns a failure to change a model's folder into an error that says what to do.

    A full disk stays what it is: a copy would not help.
    """
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise
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
    try:
        with _naming_full(path):
            temporary.mkdir()
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


def check_new(path: Path, *, overwrite: bool, option: str = "-o") -> None:
    """Refuses a path where something is already, with a ConfigError, unless it may be replaced."""
    if path.exists() and not overwrite:
        raise ConfigError(
            "exists already", subject=path, hint=f"Add --overwrite, or give another {option}."
        )


def check_free(path: Path, *, overwrite: bool) -> None:
    """Refuses a path where something is already, or whose folder is missing."""
    check_new(path, overwrite=overwrite)
    if not path.parent.is_dir():
        reason = f"cannot be written: there is no folder {path.parent}"
        raise ConfigError(reason, subject=f"-o {path}")


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def environment(values: Mapping[str, str | None], *, keep: bool = False) -> Iterator[None]:
    """Sets environment variables until the context ends; ``keep`` leaves those that are set.

    None as a value: the variable as it is, but what is set meanwhile does not stay.
    """
    before = {name: os.environ.get(name) for name in values}
    given = {name: value for name, value in values.items() if value is not None}
    os.environ.update({n: v for n, v in given.items() if not keep or before[n] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def log_level(level: int, *names: str) -> Iterator[None]:
    """Sets the level of loggers until the context ends."""
    before = [(logger, logger.level) for logger in map(logging.getLogger, names)]
    for logger, _ in before:
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, old in before:
            logger.setLevel(old)


@contextmanager
def handled(handler: Callable[..., Any], *numbers: signal.Signals) -> Iterator[None]:
    """Handles signals until the context ends."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


_LOCK = threading.Lock()
#: Modules -> threads inside, and the list of filters that theirs was added to.
_MUTED: dict[str, tuple[int, list[Any]]] = {}


@contextmanager
def muted_warnings(modules: str) -> Iterator[None]:
    """Ignores warnings of modules whose names start with a pattern, while any thread is inside.

    ``warnings.catch_warnings`` swaps the process-wide list of filters, which loses other threads'
    changes when two overlap. Here the first thread in adds one filter and the last one out takes it
    from the list then in force and from the one it was added to, which may be put back later.
    """
    with _LOCK:
        inside, filters = _MUTED.get(modules, (0, []))
        if not inside:
            warnings.filterwarnings("ignore", module=modules)
            filters = cast("list[Any]", warnings.filters)
        _MUTED[modules] = inside + 1, filters
    try:
        yield
    finally:
        with _LOCK:
            inside, filters = _MUTED[modules]
            _MUTED[modules] = inside - 1, filters
            if inside == 1:
                ours = ("ignore", None, Warning, re.compile(modules), 0)
                for each in (filters, cast("list[Any]", warnings.filters)):
                    with suppress(ValueError):  # it is not in both
                        each.remove(ours)


class _OtherThreads:
    """Standard output for every thread but the one that makes this."""

    def __init__(self) -> None:
        self._stream, self._silent = sys.stdout, threading.get_ident()

    def write(self, text: str) -> int:
        return len(text) if threading.get_ident() == self._silent else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


#: Two threads that overlap would put back each other's state.
_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def quiet(*packages: str, loggers: Sequence[str] = ()) -> Iterator[None]:
    """Hides what this thread prints, what packages warn of, and what loggers say below errors.

    What other threads print and other packages warn of goes on; one thread at a time is inside.
    Without a handler, ``logging.info`` installs one for good: until the end there is one.
    """
    names, last = "|".join(packages), logging.lastResort
    with _ONE_AT_A_TIME, muted_warnings(rf"({names})(\.|$)"), log_level(logging.ERROR, *loggers):
        lent = last if not logging.root.handlers else None
        if lent:
            logging.root.addHandler(lent)
        try:
            with redirect_stdout(cast("Any", _OtherThreads())):
                yield
        finally:
            if lent:
                logging.root.removeHandler(lent)
