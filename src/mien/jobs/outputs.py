"""Where a job writes: a folder or a prefix of a store. Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from mien.atomic import replacing
from mien.errors import ConfigError, MienError
from mien.jobs.stores import is_address, open_store, store_answers

if TYPE_CHECKING:
    from collections.abc import Iterator


class OutputStore(Protocol):
    """What a job needs of the folder or store it writes to. Names may hold one slash."""

    def names(self) -> list[str]:
        """Returns what lies at the top, in order; empty where there is nothing."""
        ...

    def read(self, name: str) -> bytes | None:
        """Returns a file's bytes; None where there is no such file."""
        ...

    def open(self, name: str) -> BinaryIO:
        """Opens a file for reading anywhere in it."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Writes a file, whole or not at all."""
        ...

    def upload(self, source: Path, name: str) -> None:
        """Moves a local file there."""
        ...

    def copy(self, name: str, folder: Path) -> Path:
        """Returns a local path of a file: itself, or a copy in ``folder``."""
        ...

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""
        ...

    def lock(self) -> None:
        """Refuses a second job at the same time, where that can be known.

        Raises:
            ConfigError: If another job is at work there.
        """
        ...

    def release(self) -> None:
        """Ends what :meth:`lock` began."""
        ...


def open_output_store(output: str) -> OutputStore:
    """Returns the store that a path or an address names.

    Raises:
        ConfigError: If it is a file, or of a store that cannot be opened.
    """
    if is_address(output):
        return _ObjectStore(output)
    path = Path(output).expanduser()
    if path.exists() and not path.is_dir():
        raise ConfigError(
            "is a file; a job writes a folder of Parquet files: give another --output",
            subject=output,
        )
    return _FolderStore(path)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        advice = "free some space" if full else "see that the folder can be written"
        raise MienError(
            f"cannot be written: {error.strerror or error}",
            subject=folder,
            hint=f"What is finished stays in it: {advice}, and add --resume.",
        ) from error


class _FolderStore:
    """A folder of this machine, or of a disk that it shares. A lock goes with the process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock: int | None = None

    def names(self) -> list[str]:
        return sorted(os.listdir(self._folder)) if self._folder.is_dir() else []  # noqa: PTH208

    def read(self, name: str) -> bytes | None:
        path = self._folder / name
        return path.read_bytes() if path.is_file() else None

    def open(self, name: str) -> BinaryIO:
        return (self._folder / name).open("rb")

    def write(self, name: str, data: bytes) -> None:
        path = self._folder / name
        with _writing(self._folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary, temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())

    def upload(self, source: Path, name: str) -> None:
        path = self._folder / name
        with _writing(self._folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                shutil.move(source, temporary)

    def copy(self, name: str, folder: Path) -> Path:  # noqa: ARG002
        return self._folder / name

    def remove(self, name: str) -> None:
        with _writing(self._folder):
            (self._folder / name).unlink(missing_ok=True)

    def lock(self) -> None:
        with _writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._folder, os.O_RDONLY) if os.name == "posix" else None
        if self._lock is None:
            return
        import fcntl

        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.release()
            raise ConfigError(
                "another job is writing there",
                subject=f"{self._folder}:",
                hint="Wait for it, or give another --output.",
            ) from error
        except OSError:
            self.release()  # a disk that knows no locks

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class _ObjectStore:
    """A prefix of an object store: an object appears when its upload is complete."""

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")
        self._system, self._path = open_store(self._address)

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}"

    def names(self) -> list[str]:
        with store_answers(self._address, "be listed"):
            try:
                entries = self._system.ls(self._path, detail=False)
            except FileNotFoundError:
                return []
        names = (str(entry).rstrip("/").rpartition("/")[2] for entry in entries)
        return sorted(name for name in names if name != self._path.rpartition("/")[2])

    def read(self, name: str) -> bytes | None:
        with store_answers(f"{self._address}/{name}", "be read"):
            try:
                return bytes(self._system.cat_file(self._at(name)))
            except FileNotFoundError:
                return None

    def open(self, name: str) -> BinaryIO:
        file: Any = self._system.open(self._at(name), "rb", cache_type="readahead")
        return file  # type: ignore[no-any-return]

    def write(self, name: str, data: bytes) -> None:
        with store_answers(f"{self._address}/{name}", "be written"):
            self._system.pipe_file(self._at(name), data)

    def upload(self, source: Path, name: str) -> None:
        with store_answers(f"{self._address}/{name}", "be written"):
            self._system.put_file(str(source), self._at(name))

    def copy(self, name: str, folder: Path) -> Path:
        path = folder / Path(name).name
        with store_answers(f"{self._address}/{name}", "be read"):
            self._system.get_file(self._at(name), str(path))
        return path

    def remove(self, name: str) -> None:
        with store_answers(f"{self._address}/{name}", "be removed"):
            if self._system.exists(self._at(name)):
                self._system.rm_file(self._at(name))

    def lock(self) -> None:
        pass  # a store keeps no locks: parts are the same whoever writes them

    def release(self) -> None:
        pass
