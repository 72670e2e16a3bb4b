"""Where the pictures of a dataset are stored: files, rows of tables, shards, parts of these."""

from __future__ import annotations

import io
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mien.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from mien.arrays import I64, U8
    from mien.preprocess import Preprocessing

__all__ = ["ArrowImages", "FileImages", "ImageStore", "PixelImages", "ShardedImages"]


class ImageStore(Protocol):
    """How the N pictures of a dataset are reached; encoded bytes, never decoded pixels.

    A class that inherits from it needs ``__len__``, ``key`` and ``read`` only.
    """

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

    def size(self, index: int) -> int:
        """Returns a number that differs only if the bytes differ, such as their count.

        Raises:
            DataError: If the picture is gone.
        """
        return len(self.read(index))

    def path(self, index: int) -> Path | None:  # noqa: ARG002 - others use it
        """Returns the file that a picture is, or None if it is part of another file."""
        return None


@dataclass(frozen=True, eq=False)
class FileImages(ImageStore):
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
        """Returns the path of a picture."""
        return self.root / self.names[index]

    def read(self, index: int) -> bytes:
        """Returns the bytes of one file."""
        with _listed(self.path(index)) as path:
            return path.read_bytes()

    def size(self, index: int) -> int:
        """Returns the size of one file in bytes."""
        with _listed(self.path(index)) as path:
            return path.stat().st_size


@contextmanager
def _listed(path: Path) -> Iterator[Path]:
    try:
        yield path
    except OSError as error:
        reason = f"cannot be read ({error.strerror or error}), though the dataset lists it"
        hint = "Put it back, or take it out of the dataset."
        raise DataError(reason, subject=path, hint=hint) from error


@dataclass(frozen=True, eq=False)
class _KeyedImages(ImageStore):
    keys: Sequence[str]

    def __len__(self) -> int:
        return len(self.keys)

    def key(self, index: int) -> str:
        """Returns the key of a picture: the name of the table and that of the picture in it."""
        return self.keys[index]


@dataclass(frozen=True, eq=False)
class ArrowImages(_KeyedImages):
    """Pictures in a column of one or more Parquet tables, kept as Arrow buffers (not copied).

    Args:
        keys: Id of each picture, for example ``"train.parquet#fer0000001.png"``.
        encoded: ``pyarrow.ChunkedArray`` of N binary values, null where a picture is a file.
        paths: By position, the files to read where a value is null.
    """

    encoded: Any
    paths: Mapping[int, Path] = field(default_factory=dict)

    def read(self, index: int) -> bytes:
        """Returns the bytes of one row, or of the file that it names."""
        value: bytes | None = self.encoded[int(index)].as_py()
        return self._file(index).read(0) if value is None else value

    def size(self, index: int) -> int:
        """Returns the number of encoded bytes of one row; nothing is copied."""
        scalar = self.encoded[int(index)]
        return int(scalar.as_buffer().size) if scalar.is_valid else self._file(index).size(0)

    def _file(self, index: int) -> FileImages:
        path = self.paths.get(int(index))
        if path is None:
            reason = "holds no picture: its bytes are null, and it names no file"
            hint = "Drop the row, or write the file's bytes into the table."
            raise DataError(reason, subject=f"row {self.keys[index]}", hint=hint)
        return FileImages(path.parent, (path.name,))


@dataclass(frozen=True, eq=False)
class PixelImages(_KeyedImages):
    """Gray pictures in memory, handed out as PNG.

    Args:
        keys: Id of each picture, for example ``"fer2013.csv#fer0000001.png"``.
        pixels: uint8 (N, H, W).
    """

    pixels: U8

    def read(self, index: int) -> bytes:
        """Returns a picture as PNG; equal pixels give equal bytes."""
        return encode_png(self.pixels[int(index)])

    def size(self, index: int) -> int:
        """Returns the number of pixels."""
        return int(self.pixels[int(index)].size)


def encode_png(pixels: U8) -> bytes:
    """Returns pixels (H, W) or (H, W, 3) as PNG, compressed quickly rather than well."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@dataclass(frozen=True, eq=False)
class SelectedImages(ImageStore):
    """The pictures of another store at some positions, in their order."""

    base: ImageStore
    indices: I64

    def __len__(self) -> int:
        return len(self.indices)

    def key(self, index: int) -> str:
        """Returns the key that the picture has in the base."""
        return self.base.key(int(self.indices[index]))

    def read(self, index: int) -> bytes:
        """Returns the bytes of one picture, as the base reads it."""
        return self.base.read(int(self.indices[index]))

    def size(self, index: int) -> int:
        """Returns the size that the base gives."""
        return self.base.size(int(self.indices[index]))

    def path(self, index: int) -> Path | None:
        """Returns the path that the base gives."""
        return self.base.path(int(self.indices[index]))


class JoinedImages(ImageStore):
    """The pictures of several stores one after another, with the name of each before its keys."""

    def __init__(self, parts: Mapping[str, ImageStore]) -> None:
        self.names, self.parts = list(parts), list(parts.values())
        self.starts: I64 = np.cumsum([0, *map(len, self.parts)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def _locate(self, index: int) -> tuple[int, int]:
        part = int(np.searchsorted(self.starts, index, side="right")) - 1
        return part, int(index - self.starts[part])

    def key(self, index: int) -> str:
        """Returns the name of the store, a slash, and the key that the picture has in there."""
        part, row = self._locate(index)
        return f"{self.names[part]}/{self.parts[part].key(row)}"

    def read(self, index: int) -> bytes:
        """Returns the bytes of one picture, as its store reads it."""
        part, row = self._locate(index)
        return self.parts[part].read(row)

    def size(self, index: int) -> int:
        """Returns the number of encoded bytes, which can be compared between stores."""
        part, row = self._locate(index)
        store = self.parts[part]
        # Of pixels a store gives their number.
        return len(store.read(row)) if isinstance(_base(store), PixelImages) else store.size(row)

    def path(self, index: int) -> Path | None:
        """Returns the path that the store gives."""
        part, row = self._locate(index)
        return self.parts[part].path(row)


def _base(images: ImageStore) -> ImageStore:
    while isinstance(images, SelectedImages):
        images = images.base
    return images


class ShardedImages(ImageStore):
    """N pictures one after another in shards: large files that are read from start to end.

    Args:
        counts: Pictures in each shard.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        #: Position of the first picture of each shard, and N at the end.
        self.starts: I64 = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def locate(self, index: int) -> tuple[int, int]:
        """Returns the shard of a picture and its row in there."""
        shard = int(np.searchsorted(self.starts, index, side="right")) - 1
        return shard, int(index - self.starts[shard])

    def read_rows(self, shard: int, rows: I64) -> Iterator[bytes]:
        """Yields pictures of one shard in the order of the file.

        Args:
            shard: Its number.
            rows: Ascending rows.

        Raises:
            DataError: If the shard is damaged; it is named.
        """
        raise NotImplementedError

    def as_picture(self, data: bytes) -> bytes:
        """Returns what ``read_rows`` yielded as an encoded picture."""
        return data

    def is_ready(self, _preprocessing: Preprocessing) -> bool:
        """Tells whether ``read_rows`` yields faces as bare pixels (S, S, C) of that input."""
        return False


def find_shards(images: ImageStore) -> tuple[ShardedImages, I64] | None:
    """Returns the shards that hold some pictures and their (N,) positions in them, else None."""
    rows = np.arange(len(images))
    while isinstance(images, SelectedImages):
        rows, images = images.indices[rows], images.base
    return (images, rows) if isinstance(images, ShardedImages) else None


def holds_shards(images: ImageStore) -> bool:
    """Tells whether some of the pictures lie in shards, alone or among other datasets."""
    base = _base(images)
    if isinstance(base, JoinedImages):
        return any(holds_shards(part) for part in base.parts)
    return isinstance(base, ShardedImages)


def are_files(images: ImageStore) -> bool:
    """Tells whether the pictures are files that a table can name."""
    return len(images) > 0 and images.path(0) is not None


def source_folders(images: ImageStore) -> set[Path]:
    """Returns the folders of the pictures that are files."""
    return {path.parent for at in range(len(images)) if (path := images.path(at)) is not None}
