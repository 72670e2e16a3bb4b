"""Image files that decoders refuse though their pixels are there: what is missing is made up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.errors import InputError
from mien.images.guard import picture_format

if TYPE_CHECKING:
    from collections.abc import Callable

    from mien.arrays import U8

#: Share of the rows that may be missing in a picture that is read all the same.
MAX_MISSING = 0.1
_END = b"\xff\xd9"
#: Chunks of a PNG that hold no pixels and that Pillow bounds: texts and the colour profile.
_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")


def mend(data: bytes, decode: Callable[[bytes], U8]) -> tuple[bytes, str] | None:
    """Returns bytes that can be decoded in place of those that cannot, and a remark.

    A PNG is freed of its texts. A file that ends too early is filled up in two ways: rows that
    both agree on were in the file.

    Args:
        data: The file.
        decode: Makes uint8 (H, W, 3) of bytes, or raises InputError.

    Returns:
        None where nothing helps, or more than ``MAX_MISSING`` of the rows are not in the file.
    """
    kind = picture_format(data)
    try:
        if kind == "PNG":
            return (
                (bare, "") if (bare := _without_texts(data)) != data and len(decode(bare)) else None
            )
        if kind == "JPEG":
            fills = _END, bytes(range(1, 255)) * 64 + _END
        elif kind in {"BMP", "PPM", "TIFF"}:
            fills = bytes(len(data) // 8), b"\xff" * (len(data) // 8)
        else:
            return None
        filled, other = (decode(data + fill) for fill in fills)
    except InputError:
        return None
    rows = np.flatnonzero((filled != other).any(axis=(1, 2)))
    missing = (rows[-1] - rows[0] + 1) / len(filled) if len(rows) else 0.0
    if missing > MAX_MISSING:
        return None
    told = f"{missing:.0%} of its rows are missing" if missing else "its pixels are all there"
    return data + fills[0], f"the file ends too early; {told}"


def _without_texts(data: bytes) -> bytes:
    """Returns a PNG without what is no part of the picture."""
    kept, at = [data[:8]], 8
    while at < len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        if data[at + 4 : at + 8] not in _TEXTS:
            kept.append(data[at:end])
        at = end
    return b"".join(kept)
