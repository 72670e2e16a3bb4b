"""One run at a time in a folder: a lock that leaves no file and goes with its process."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCKS = Path("/proc/locks")
#: Folders that this process has open for their locks.
_HELD: set[int] = set()


@contextmanager
def locked(folder: Path, what: str) -> Iterator[None]:
    """Refuses a second ``what`` in a folder until the context ends; the folder is made.

    The folder itself is locked. Where a system knows no such locks (Windows, some network disks)
    nothing is refused, and machines that share a disk may not see each other's.

    Raises:
        ConfigError: If another process, or another thread of this one, is in the same folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if os.name != "posix":
        yield
        return
    lock = os.open(folder, os.O_RDONLY)
    _HELD.add(lock)
    try:
        _take(lock, folder, what)
        yield
    finally:
        if lock in _HELD:  # in a process forked meanwhile it is not
            _HELD.remove(lock)
            os.close(lock)


def _take(lock: int, folder: Path, what: str) -> None:
    import fcntl

    with suppress(OSError):  # a disk that knows no locks
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            reason = f"another {what} is writing there{_holder(lock)}"
            hint = "Wait for it, or give another --output."
            raise ConfigError(reason, subject=f"{folder}:", hint=hint) from error


def _holder(lock: int) -> str:
    """Returns which process has the lock, as far as the system tells (Linux does)."""
    about = os.fstat(lock)
    place = f"{os.major(about.st_dev):02x}:{os.minor(about.st_dev):02x}:{about.st_ino}"
    with suppress(OSError):
        for line in _LOCKS.read_text(encoding="utf-8").splitlines():
            # 1: FLOCK  ADVISORY  WRITE 2611 fe:00:2277457 0 EOF
            fields = line.split()
            if fields[1:2] == ["FLOCK"] and fields[5:6] == [place]:
                return f" (process {fields[4]})"
    return ""


def _forget() -> None:
    """Closes the locks in a forked process, so that they end with the one that took them."""
    while _HELD:
        os.close(_HELD.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
