"""What names of files tell: their order, which picture a file was made from, its format."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

#: Endings of files that are taken for pictures; case does not matter.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")

# 2801.jpg_rotation_1.jpg is a copy of 2801.jpg, made before the data was split.
_MADE_COPY = re.compile(r"(.+?)\.(?:jpe?g|png|webp|bmp|gif|tiff?)_.+", re.IGNORECASE)
# First bytes of a format, and its ending.
_SIGNATURES = (
    (b"\xff\xd8", ".jpg"),
    (b"\x89PNG", ".png"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II*\x00", ".tif"),
    (b"MM\x00*", ".tif"),
)


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Returns a key that sorts ``im2`` before ``im10``, whatever the case.

    >>> sorted(["im10.png", "im2.png", "Im1.png"], key=natural_key)
    ['Im1.png', 'im2.png', 'im10.png']
    """
    parts = re.split(r"([0-9]+)", text.casefold())
    found = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]
    # The text itself decides between names that differ in case or leading zeros only.
    return (*found, (-1, 0, text))


def source_stem(key: str) -> tuple[str, bool]:
    """Returns the picture that a file comes from, and whether the file is a made copy of it.

    Args:
        key: Name of a file, a path to it with forward slashes, or ``TABLE#NAME``.

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


def image_suffix(data: bytes) -> str | None:
    """Returns the ending of the picture format that bytes begin like, None for other bytes.

    >>> image_suffix(b"GIF89a"), image_suffix(b"%PDF")
    ('.gif', None)
    """
    if data[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for sign, suffix in _SIGNATURES if data.startswith(sign)), None)
