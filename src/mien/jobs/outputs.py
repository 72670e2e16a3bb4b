"""Where a job writes: a folder or a prefix of a store. Files appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from mien.atomic import is_full, replacing
from mien.errors import ConfigError, MienError
from mien.jobs.stores import is_address, open_store, readable, store_answers
from mien.locks import locked

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        advice = "free some space" if is_full(error) else "see that the folder can be written"
        reason = f"cannot be written: {error.strerror or error}"
        hint = f"What is finished stays in it: {advice}, and add --resume."
        raise MienError(reason, subject=folder, hint=hint) from error


class FolderStore:
    """A folder of this machine, or of a disk that it shares. Names may hold one slash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        """Returns what lies at the top, in order; empty where there is nothing."""
        return sorted(os.listdir(self._folder)) if self._folder.is_dir() else []  # noqa: PTH208

    def read(self, name: str) -> bytes | None:
        """Returns a file's bytes; None where there is no such file."""
        path = self._folder / name
        with readable(path):
            return path.read_bytes() if path.is_file() else None

    def open(self, name: str) -> BinaryIO:
        """Opens a file for reading anywhere in it."""
        return (self._folder / name).open("rb")

    def write(self, name: str, data: bytes) -> None:
        """Writes a file, whole or not at all."""
        with self._replacing(name) as temporary, temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def upload(self, source: Path, name: str) -> None:
        """Moves a local file there."""
        with self._replacing(name) as temporary:
            shutil.move(source, temporary)

    @contextmanager
    def _replacing(self, name: str) -> Iterator[Path]:
        path = self._folder / name
        with _writing(self._folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                yield temporary

    def copy(self, name: str, folder: Path) -> Path:  # noqa: ARG002
        """Returns a local path of a file: itself, or a copy in ``folder``."""
        return self._folder / name

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""
        with _writing(self._folder):
            (self._folder / name).unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Refuses a second job until the context ends; a lock goes with the process."""
        with ExitStack() as stack:
            with _writing(self._folder):
                stack.enter_context(locked(self._folder, "job"))
            yield


class _ObjectStore:
    """The same over a prefix of an object store: an object appears when its upload is complete."""

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")
        self._system, self._path = open_store(self._address)

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}"

    def _answers(self, name: str, what: str) -> AbstractContextManager[None]:
        return store_answers(f"{self._address}/{name}", what)

    def names(self) -> list[str]:
        with store_answers(self._address, "be listed"):
            try:
                entries = self._system.ls(self._path, detail=False)
            except FileNotFoundError:
                return []
        names = (str(entry).rstrip("/").rpartition("/")[2] for entry in entries)
        return sorted(name for name in names if name != self._path.rpartition("/")[2])

    def read(self, name: str) -> bytes | None:
        with self._answers(name, "be read"):
            try:
                return bytes(self._system.cat_file(self._at(name)))
            except FileNotFoundError:
                return None

    def open(self, name: str) -> BinaryIO:
        file: Any = self._system.open(self._at(name), "rb", cache_type="readahead")
        return file  # type: ignore[no-any-return]

    def write(self, name: str, data: bytes) -> None:
        with self._answers(name, "be written"):
            self._system.pipe_file(self._at(name), data)

    def upload(self, source: Path, name: str) -> None:
        with self._answers(name, "be written"):
            self._system.put_file(str(source), self._at(name))

    def copy(self, name: str, folder: Path) -> Path:
        path = folder / Path(name).name
        with self._answers(name, "be read"):
            self._system.get_file(self._at(name), str(path))
        return path

    def remove(self, name: str) -> None:
        with self._answers(name, "be removed"):
            if self._system.exists(self._at(name)):
                self._system.rm_file(self._at(name))

    def locked(self) -> AbstractContextManager[None]:
        return nullcontext()  # a store keeps no locks: parts are the same whoever writes them


#: Where a job writes.
OutputStore: TypeAlias = FolderStore | _ObjectStore


def open_output_store(output: str) -> OutputStore:
    """Returns the store that a path or an address names."""
    if is_address(output):
        return _ObjectStore(output)
    path = Path(os.path.expanduser(output))  # noqa: PTH111
    if path.exists() and not path.is_dir():
        reason = "is a file; a job writes a folder of Parquet files: give another --output"
        raise ConfigError(reason, subject=output)
    return FolderStore(path)
