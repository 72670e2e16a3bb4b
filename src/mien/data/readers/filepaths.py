"""Which pictures of a dataset are files, and how a table names them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from mien.data.stores import FileImages, SelectedImages
from mien.errors import ConfigError, DataError

if TYPE_CHECKING:
    from mien.data.stores import ImageStore


def relative_names(images: ImageStore, folder: Path) -> list[str]:
    """Returns the path of each picture relative to a folder, with forward slashes.

    Raises:
        ConfigError: If the pictures are no files.
        DataError: If a name cannot stand in a text file.
    """
    names = []
    for index in range(len(images)):
        path = _file(images, index)
        if path is None:
            raise ConfigError(
                (
                    "lies in a table, which a list of files cannot name: add --copy, or write "
                    "Parquet"
                ),
                subject=f"{images.key(index)}",
            )
        name = Path(os.path.relpath(path, folder)).as_posix()
        if name != name.strip() or not _encodable(name):
            raise DataError(
                "cannot stand in a table: rename the file, or add --copy", subject=f"{name!r}"
            )
        names.append(name)
    return names


def _file(images: ImageStore, index: int) -> Path | None:
    if isinstance(images, SelectedImages):
        return _file(images.base, int(images.indices[index]))
    return images.path(index) if isinstance(images, FileImages) else None


def are_files(images: ImageStore) -> bool:
    """Tells whether the pictures are files that a table can name."""
    return len(images) > 0 and _file(images, 0) is not None


def source_folders(images: ImageStore) -> set[Path]:
    """Returns the folders that pictures lie in; none where they lie in a table."""
    if not are_files(images):
        return set()
    return {path.parent for at in range(len(images)) if (path := _file(images, at)) is not None}


def _encodable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
