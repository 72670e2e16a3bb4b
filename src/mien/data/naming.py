"""What names say: of splits, in which order files stand, which picture a file was made from."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

#: The splits of a dataset, in this order.
SPLITS = ("train", "valid", "test")

#: Every accepted spelling of a split and the split it means.
SPLIT_NAMES = {
    **{name: name for name in SPLITS},
    "training": "train",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "testing": "test",
    # FER2013's own names
    "publictest": "valid",
    "privatetest": "test",
}

# 2801.jpg_rotation_1.jpg is a copy of 2801.jpg, made before the data was split.
_MADE_COPY = re.compile(r"(.+?)\.(?:jpe?g|png|webp|bmp|gif|tiff?)_.+", re.IGNORECASE)


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Returns a key that sorts ``im2`` before ``im10``, whatever the case.

    >>> sorted(["im10.png", "im2.png", "Im1.png"], key=natural_key)
    ['Im1.png', 'im2.png', 'im10.png']
    """
    parts = re.split(r"([0-9]+)", text.casefold())
    found = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]
    # The text itself decides between names that differ in case or leading zeros only.
    return (*found, (-1, 0, text))


def source_stem(name: str) -> tuple[str, bool]:
    """Returns the picture that a file comes from, and whether the file is a made copy of it.

    Args:
        name: Name of a file, or a path to it with forward slashes.

    >>> source_stem("2801.jpg_rotation_1.jpg"), source_stem("sad/2801.jpg")
    (('2801', True), ('2801', False))
    """
    stem = PurePosixPath(name).stem
    copy = _MADE_COPY.fullmatch(stem)
    return (copy[1], True) if copy else (stem, False)
