"""What stands between a hostile file and the caller: one kind of error, and no warnings."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING

from PIL import Image, UnidentifiedImageError

from mien.atomic import muted_warnings
from mien.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def refusals(name: str, data: bytes = b"") -> Iterator[None]:
    """Turns whatever a decoder raises on a hostile file into an InputError.

    Pillow's decoders raise SyntaxError, struct.error, OverflowError, MemoryError, EOFError,
    AttributeError and more besides OSError, so the net is wide on purpose.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        said, hint = (
            str(error).strip().rstrip(".") or type(error).__name__,
            "Make it smaller first.",
        )
        if isinstance(error, UnidentifiedImageError):
            reason = f"is not a picture that mien can read: it {guess_content(data)}"
            hint = "Give a JPEG, PNG, WebP, BMP, GIF or TIFF file."
        elif isinstance(error, Image.DecompressionBombError):
            reason = f"claims more pixels than Pillow agrees to decode ({said})"
        elif isinstance(error, MemoryError):
            reason = "needs more memory to decode than there is"
        else:
            reason = f"is damaged or cut short ({said})"
            hint = "Get the file again, or open it in a picture editor and save it anew."
        raise InputError(reason, subject=name, hint=hint) from error


#: Pillow's own warnings stay quiet while at least one thread decodes.
silent_pillow = functools.partial(muted_warnings, r"PIL(\.|$)")

#: First bytes of pictures: (offset, bytes, name, ending).
_PICTURES = (
    (0, b"\xff\xd8", "JPEG", ".jpg"),
    (0, b"\x89PNG", "PNG", ".png"),
    (0, b"GIF8", "GIF", ".gif"),
    (0, b"BM", "BMP", ".bmp"),
    (8, b"WEBP", "WebP", ".webp"),
    (0, b"II*\x00", "TIFF", ".tif"),
    (0, b"MM\x00*", "TIFF", ".tif"),
)
#: First bytes of what people pass by mistake: (offset, bytes, what to say).
_SIGNS = (
    (0, b"%PDF", "is a PDF: export the page as PNG"),
    (4, b"ftyphei", "is a HEIC photo: convert it to JPEG"),
    (4, b"ftypmif1", "is a HEIC photo: convert it to JPEG"),
    (4, b"ftypavif", "is an AVIF picture: convert it to JPEG or PNG"),
    (4, b"ftyp", "is a video or audio file"),
    (0, b"\x1aE\xdf\xa3", "is a Matroska or WebM video"),
    (0, b"PK\x03\x04", "is a ZIP archive: unpack it"),
    (0, b"\x1f\x8b", "is a gzip archive: unpack it"),
    (0, b"version https://git-lfs", "is a Git LFS pointer: fetch the file with 'git lfs pull'"),
)


def picture_suffix(data: bytes) -> str | None:
    """Returns the ending of the picture format that bytes begin like, None for other bytes.

    >>> picture_suffix(b"GIF89a"), picture_suffix(b"%PDF")
    ('.gif', None)
    """
    found = (end for at, sign, _, end in _PICTURES if data[at : at + len(sign)] == sign)
    return next(found, None)


def guess_content(data: bytes) -> str:
    """Says what a file that is no picture seems to be, as the end of a sentence: ``is text``."""
    for offset, sign, meaning in _SIGNS:
        if data[offset : offset + len(sign)] == sign:
            return meaning
    for offset, sign, name, _ in _PICTURES:
        if data[offset : offset + len(sign)] == sign:
            return f"starts like a {name}, but its header is damaged or cut short"
    head = data[:512]
    if b"<svg" in head:
        return "is an SVG drawing: export it as PNG"
    if head.lstrip()[:1] == b"<":
        return "is HTML or XML text"
    if head and all(byte >= 32 or byte in b"\t\n\r\f" for byte in head):
        return "is text"
    return "starts with " + (repr(data[:8]) if data else "nothing")
