"""Pictures for the service's tests."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray


def noise(side: int, seed: int = 0) -> NDArray[np.uint8]:
    """Returns uint8 (side, side, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8)


def _saved(kind: str, side: int = 64) -> bytes:
    out = io.BytesIO()
    Image.fromarray(noise(side)).save(out, kind)
    return out.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_bomb(width: int, height: int) -> bytes:
    """Returns a small PNG file that says it is huge, with zeros that inflate to it."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(20_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows)


def broken_images() -> dict[str, bytes]:
    """Returns files that are no good pictures, by what is wrong with them."""
    found = {"empty": b"", "text": b"hello", "zeros": bytes(5000), "svg": b"<svg/>",
             "html": b"<html><script>alert(1)</script>", "zip": b"PK\x03\x04" + bytes(500),
             "pdf": b"%PDF-1.7\n", "elf": b"\x7fELF" + bytes(200),
             "bomb": png_bomb(60_000, 60_000), "wide": png_bomb(2_000_000, 1),
             "zero_sized": png_bomb(0, 0)}  # fmt: skip
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"):
        whole = _saved(kind)
        found[f"{kind} cut"] = whole[: len(whole) // 3]
        found[f"{kind} head"] = whole[:12]
        middle = bytearray(whole)
        middle[20 : len(middle) // 2] = bytes(len(middle) // 2 - 20)
        found[f"{kind} holed"] = bytes(middle)
    return found
