"""Where a dataset is written: nothing overwritten unasked, nothing half-written."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from mien.data.readers.folder import IMAGE_SUFFIXES
from mien.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_SIGNS = (
    (b"\xff\xd8", ".jpg"),
    (b"\x89PNG", ".png"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II*\x00", ".tif"),
    (b"MM\x00*", ".tif"),
)


def check_free(path: Path, *, overwrite: bool) -> None:
    """Refuses a place that is taken, or whose folder is missing.

    Raises:
        ConfigError: If it is.
    """
    if path.exists() and not overwrite:
        raise ConfigError("exists: type --overwrite, or give another -o", subject=path)
    if not path.parent.is_dir():
        raise ConfigError(f"cannot write {path}: there is no folder {path.parent}.")


def check_apart(target: Path, sources: Iterable[Path]) -> None:
    """Refuses to write over what is being read, even where overwriting is allowed.

    Args:
        target: A file or folder that will be replaced.
        sources: Files and folders that the data lies in.

    Raises:
        ConfigError: If a source is the target or lies inside it.
    """
    place = target.resolve()
    for source in sources:
        found = source.resolve()
        if found == place or place in found.parents:
            raise ConfigError(f"cannot write {target}: the data is read from there; give another.")


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yields an empty folder beside ``path`` that takes its name at the end, or goes on error.

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


def plain_name(key: str) -> str:
    """Returns the file name in a picture's key, without characters that tools stumble over.

    >>> plain_name("train.parquet#faces/2801.jpg_rotation_1.jpg"), plain_name("x.parquet#12")
    ('2801.jpg_rotation_1.jpg', '0000012')
    """
    name = PurePosixPath(key.rsplit("#", 1)[-1]).name
    name = name.encode("ascii", "backslashreplace").decode() if not _printable(name) else name
    name = name.replace("\\", "_").strip().lstrip(".") or "picture"
    return f"{int(name):07}" if name.isdecimal() else name


def _printable(name: str) -> bool:
    return name.isprintable() and not any(0xD800 <= ord(letter) < 0xE000 for letter in name)


def picture_suffix(data: bytes, name: str) -> str:
    """Returns the ending to add to a name, by content; empty where the name has a fitting one."""
    if name.lower().endswith(IMAGE_SUFFIXES):
        return ""
    if data[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for sign, suffix in _SIGNS if data.startswith(sign)), ".png")


class FreeNames:
    """Gives each picture of a folder a name of its own.

    >>> names = FreeNames()
    >>> names.take("train/sad", "1.jpg"), names.take("train/sad", "1.jpg")
    ('train/sad/1.jpg', 'train/sad/1-2.jpg')
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, folder: str, name: str) -> str:
        """Returns ``folder/name``, numbered where that is taken; case does not tell names apart."""
        # Before the first dot: 2801.jpg_rotation_1.jpg of another source is of another source.
        stem, dot, rest = name.partition(".")
        number, free = 1, name
        while f"{folder}/{free}".casefold() in self._taken:
            number += 1
            free = f"{stem}-{number}{dot}{rest}"
        self._taken.add(f"{folder}/{free}".casefold())
        return f"{folder}/{free}" if folder else free


def check_folder_names(labels: Sequence[str]) -> None:
    """Refuses labels that cannot name folders.

    Raises:
        DataError: If one cannot.
    """
    for label in labels:
        if "/" in label or "\\" in label or label.startswith(".") or label != label.strip():
            raise DataError(f"label {label!r} cannot name a folder: write csv or parquet instead.")
