"""Pictures of any kind as bytes that can be sent."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from mien.errors import InputError
from mien.images import ImageSource, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterable

#: A path; the bytes of an image file, or one opened in binary mode; a PIL image; an array RGB.
Picture: TypeAlias = ImageSource


def named_files(pictures: Iterable[Picture | Iterable[Picture]]) -> list[tuple[str, bytes]]:
    """Returns name and bytes of each picture; a list among them, and a batch, is several.

    Files are sent as they are, arrays and PIL images as PNG. InputError says which is unusable.
    """
    from mien.recognizer import as_many

    flat = [picture for entry in pictures for picture in as_many(entry)]
    return [(_name(picture, index), to_bytes(picture)) for index, picture in enumerate(flat)]


def to_bytes(picture: Picture, *, suffix: str = ".png") -> bytes:
    """Returns the bytes of an image file; an array or a PIL image becomes one of that format."""
    if isinstance(picture, (bytes, bytearray, memoryview)):
        return bytes(picture)
    if isinstance(picture, (str, os.PathLike)):
        path = Path(picture)
        try:
            return path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror or error}", subject=path) from error
    if hasattr(picture, "read"):
        return bytes(picture.read())
    return encode(decode(picture), suffix=suffix)


def _name(picture: Picture, index: int) -> str:
    return Path(picture).name if isinstance(picture, (str, os.PathLike)) else f"image-{index + 1}"
