"""Names of the pictures in datasets: what they tell, and how new ones are given."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from mien.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

#: Names that Windows keeps for itself, with any ending.
_RESERVED = re.compile(r"(con|prn|aux|nul|(com|lpt)[1-9])(\..*)?", re.IGNORECASE)
# 2801.jpg_rotation_1.jpg is a copy of 2801.jpg, made before the data was split.
_MADE_COPY = re.compile(r"(.+?)\.(?:jpe?g|png|webp|bmp|gif|tiff?)_.+", re.IGNORECASE)


def is_picture(name: str) -> bool:
    """Tells whether a name ends as those of pictures do; case does not matter."""
    from mien.images import IMAGE_SUFFIXES

    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def by_name(paths: Iterable[Path]) -> list[Path]:
    """Sorts paths by the names of their files as people do: 2.jpg before 10.jpg."""
    from mien.images.files import natural_key

    return sorted(paths, key=lambda path: natural_key(path.name))


def source_stem(key: str) -> tuple[str, bool]:
    """Returns the picture that a file comes from, and whether the file is a made copy of it.

    >>> source_stem("2801.jpg_rotation_1.jpg"), source_stem("sad/2801.jpg")
    (('2801', True), ('2801', False))
    """
    stem = PurePosixPath(key.rsplit("#", 1)[-1]).stem
    copy = _MADE_COPY.fullmatch(stem)
    return (copy[1], True) if copy else (stem, False)


def printable(name: str) -> str:
    r"""Returns a name that can be printed: bytes that are no UTF-8 become ``\xNN``.

    >>> printable("caf\udce9.png")
    'caf\\xe9.png'
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def is_utf8(name: str) -> bool:
    """Tells whether a name can stand in a text file."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def plain_name(key: str) -> str:
    """Returns the file name in a picture's key, without characters that tools stumble over.

    >>> plain_name("train.parquet#faces/2801.jpg_rotation_1.jpg"), plain_name("x.parquet#12")
    ('2801.jpg_rotation_1.jpg', '0000012')
    """
    name = PurePosixPath(key.rsplit("#", 1)[-1]).name
    if not name.isprintable() or any(0xD800 <= ord(letter) < 0xE000 for letter in name):
        name = name.encode("ascii", "backslashreplace").decode()
    name = name.replace("\\", "_").strip().lstrip(".") or "picture"
    if _RESERVED.fullmatch(name):
        name = f"_{name}"
    return f"{int(name):07}" if name.isdecimal() else name


def full_name(data: bytes, key: str) -> str:
    """Returns :func:`plain_name` with an ending that fits the content, where it has none."""
    from mien.images.guard import picture_suffix

    name = plain_name(key)
    return name if is_picture(name) else name + (picture_suffix(data) or ".png")


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
    """Refuses labels that cannot name folders."""
    for label in labels:
        unfit = "/" in label or "\\" in label or label.startswith(".") or label != label.strip()
        if unfit or _RESERVED.fullmatch(label):
            hint = "Write csv or parquet instead."
            raise DataError("cannot name a folder", subject=f"the label {label!r}", hint=hint)
