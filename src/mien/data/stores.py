"""Where the pictures of a dataset lie: files on disk, rows of Parquet tables, parts of either."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from mien.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


class ImageStore(Protocol):
    """How the N pictures of a dataset are reached; encoded bytes, never decoded pixels."""

    def __len__(self) -> int: ...

    def key(self, index: int) -> str:
        """Returns a stable id, the same on every machine: a path relative to the root."""
        ...

    def read(self, index: int) -> bytes:
        """Returns the encoded bytes of one picture.

        Raises:
            DataError: If the picture is gone or cannot be read.
        """
        ...


class SizedImages(ImageStore, Protocol):
    """A store that tells the size of a picture without reading it."""

    def size(self, index: int) -> int:
        """Returns the number of encoded bytes of one picture.

        Raises:
            DataError: If the picture is gone.
        """
        ...


@dataclass(frozen=True, eq=False)
class FileImages:
    """Pictures that are files.

    Args:
        root: Folder that ``names`` are relative to.
        names: Path of each picture, with forward slashes; also its key.
    """

    root: Path
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.names)

    def key(self, index: int) -> str:
        """Returns the path of a picture relative to the root."""
        return self.names[index]

    def path(self, index: int) -> Path:
        """Returns where a picture lies."""
        return self.root / self.names[index]

    def read(self, index: int) -> bytes:
        """Returns the bytes of one file.

        Raises:
            DataError: If the file is gone or cannot be read.
        """
        try:
            return self.path(index).read_bytes()
        except OSError as error:
            raise _gone(self.path(index), error) from error

    def size(self, index: int) -> int:
        """Returns the size of one file.

        Raises:
            DataError: If the file is gone.
        """
        try:
            return self.path(index).stat().st_size
        except OSError as error:
            raise _gone(self.path(index), error) from error


def _gone(path: Path, error: OSError) -> DataError:
    return DataError(
        (
            f"the picture {path} cannot be read ({error.strerror or error}), though the "
            "dataset lists it"
        ),
        hint="Put it back, or take it out of the dataset.",
    )


@dataclass(frozen=True, eq=False)
class ArrowImages:
    """Pictures in a column of one or more Parquet tables, kept as Arrow buffers (not copied).

    Args:
        keys: Id of each picture, for example ``"train.parquet#fer0000001.png"``.
        encoded: ``pyarrow.ChunkedArray`` of N binary values, null where a picture is a file.
        paths: By position, the files to read where a value is null.
    """

    keys: Sequence[str]
    encoded: Any
    paths: Mapping[int, Path] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)

    def key(self, index: int) -> str:
        """Returns the file name of the table and the name of the picture in it."""
        return self.keys[index]

    def read(self, index: int) -> bytes:
        """Returns the bytes of one row.

        Raises:
            DataError: If the row has neither bytes nor a file that can be read.
        """
        value: bytes | None = self.encoded[int(index)].as_py()
        return self._file(index).read(0) if value is None else value

    def size(self, index: int) -> int:
        """Returns the number of encoded bytes of one row; nothing is copied.

        Raises:
            DataError: If the row has neither bytes nor a file.
        """
        scalar = self.encoded[int(index)]
        return int(scalar.as_buffer().size) if scalar.is_valid else self._file(index).size(0)

    def _file(self, index: int) -> FileImages:
        path = self.paths.get(int(index))
        if path is None:
            raise DataError(
                (
                    f"the row {self.keys[index]} holds no picture: its bytes are null and no path "
                    "is given"
                ),
                hint="Drop the row, or write the file's bytes into the table.",
            )
        return FileImages(path.parent, (path.name,))


@dataclass(frozen=True, eq=False)
class SelectedImages:
    """Some pictures of another store, in a given order.

    Args:
        base: The store selected from.
        indices: (N,) int64, positions in ``base``.
    """

    base: ImageStore
    indices: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.indices)

    def key(self, index: int) -> str:
        """Returns the key that the picture has in the store selected from."""
        return self.base.key(int(self.indices[index]))

    def read(self, index: int) -> bytes:
        """Returns the bytes of one picture, as the store selected from reads it."""
        return self.base.read(int(self.indices[index]))
