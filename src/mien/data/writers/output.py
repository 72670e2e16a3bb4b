"""Where a dataset is written: never over its source, and under names that are free."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from mien.data.filenames import IMAGE_SUFFIXES, image_suffix
from mien.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


def check_apart(target: Path, sources: Iterable[Path]) -> None:
    """Refuses to write over what is being read, even where overwriting is allowed.

    Args:
        target: A file or folder that will be replaced.
        sources: Files and folders that hold the data.

    Raises:
        ConfigError: If a source is the target or lies inside it.
    """
    whole = target.resolve()
    for source in sources:
        found = source.resolve()
        if found == whole or whole in found.parents:
            raise ConfigError(
                "cannot be written, because the data is read from there",
                subject=target,
                hint="Give another output.",
            )


def plain_name(key: str) -> str:
    """Returns the file name in a picture's key, without characters that tools stumble over.

    >>> plain_name("train.parquet#faces/2801.jpg_rotation_1.jpg"), plain_name("x.parquet#12")
    ('2801.jpg_rotation_1.jpg', '0000012')
    """
    name = PurePosixPath(key.rsplit("#", 1)[-1]).name
    if not name.isprintable() or any(0xD800 <= ord(letter) < 0xE000 for letter in name):
        name = name.encode("ascii", "backslashreplace").decode()
    name = name.replace("\\", "_").strip().lstrip(".") or "picture"
    return f"{int(name):07}" if name.isdecimal() else name


def picture_suffix(data: bytes, name: str) -> str:
    """Returns the ending to add to a name, by content; empty where the name has a fitting one."""
    return "" if name.lower().endswith(IMAGE_SUFFIXES) else image_suffix(data) or ".png"


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
            raise DataError(
                "cannot name a folder", subject=f"the label {label!r}",
                hint="Write csv or parquet instead.",
            )  # fmt: skip
