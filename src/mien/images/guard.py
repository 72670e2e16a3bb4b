"""What stands between a hostile file and the caller: one kind of error, and no warnings."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import os
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


#: Pillow's decoders that a stranger's file may reach. MPO is what phones call their JPEG files.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
#: Those that may hold an animation, and the bytes of one that are read to know.
_MOVING, _MAX_BYTES = frozenset({"GIF", "WEBP", "PNG", "AVIF"}), 50_000_000
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
    *((0, b"P%d%c" % (kind, gap), "PPM", ".ppm") for kind in range(1, 7) for gap in b" \t\r\n"),
    *((4, b"ftyp" + brand, "AVIF", ".avif") for brand in (b"avif", b"avis")),
    *((4, b"ftyp" + brand, "HEIF", ".heic") for brand in (b"hei", b"hev", b"mif1", b"msf1")),
)
_CLIPS = ("video", "video or sound", "video or audio file")
_HEIC = 'is a HEIC photo: type pip install "mien[heif]", or convert it to JPEG'
#: First bytes of what people pass by mistake: (offset, bytes, what to say).
_SIGNS = (
    (0, b"%PDF", "is a PDF: export the page as PNG"),
    (4, b"ftyphei", _HEIC),
    (4, b"ftyphev", _HEIC),
    (4, b"ftypmif1", _HEIC),
    (4, b"ftypmsf1", _HEIC),
    (4, b"ftypavi", "is an AVIF picture: update Pillow (11.3 reads it), or convert it to JPEG"),
    (4, b"ftyp", "is a video or audio file"),
    (8, b"AVI LIST", "is an AVI video"),
    (0, b"FLV\x01", "is a Flash video"),
    (0, b"\x00\x00\x01\xba", "is an MPEG video"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "is a Windows Media video or sound"),
    (0, b"\x1aE\xdf\xa3", "is a Matroska or WebM video"),
    (0, b"PK\x03\x04", "is a ZIP archive: unpack it"),
    (0, b"\x1f\x8b", "is a gzip archive: unpack it"),
    (257, b"ustar", "is a tar archive: unpack it"),
    (0, b"BZh", "is a bzip2 archive: unpack it"),
    (0, b"\xfd7zXZ", "is an xz archive: unpack it"),
    (0, b"\x28\xb5\x2f\xfd", "is a Zstandard archive: unpack it"),
    (0, b"7z\xbc\xaf", "is a 7-Zip archive: unpack it"),
    (0, b"Rar!", "is a RAR archive: unpack it"),
    (0, b"PAR1", "is a Parquet table"),
    (0, b"\xd0\xcf\x11\xe0", "is a file of an older Office: save it as CSV"),
    (0, b"SQLite format 3", "is an SQLite database"),
    (0, b"\x89HDF", "is an HDF5 file"),
    (0, b"\x93NUMPY", "is a NumPy array: pass numpy.load(file)"),
    (0, b"version https://git-lfs", "is a Git LFS pointer: fetch the file with 'git lfs pull'"),
)


def picture_format(data: bytes) -> str | None:
    """Returns the name of the format that bytes begin like, None for other bytes."""
    found = (name for at, sign, name, _ in _PICTURES if data[at : at + len(sign)] == sign)
    return next(found, None)


def picture_suffix(data: bytes) -> str | None:
    """Returns the ending of the picture format that bytes begin like, None for other bytes.

    >>> picture_suffix(b"GIF89a"), picture_suffix(b"%PDF")
    ('.gif', None)
    """
    found = (end for at, sign, _, end in _PICTURES if data[at : at + len(sign)] == sign)
    return next(found, None)


def open_picture(data: bytes) -> Image.Image:
    """Opens the bytes of an image file, with the decoders that a stranger's file may reach."""
    formats: tuple[str, ...] = _FORMATS
    if picture_format(data) == "PPM":
        formats = ("PPM",)
    elif picture_format(data) in {"AVIF", "HEIF"}:
        formats = _known_formats()
    return Image.open(io.BytesIO(data), "r", formats)


@functools.cache
def _known_formats() -> tuple[str, ...]:
    """Returns those of the formats of newer phones that are read here."""
    with contextlib.suppress(ImportError):
        importlib.import_module("pillow_heif").register_heif_opener()
    Image.init()
    return tuple(name for name in ("AVIF", "HEIF") if name in Image.OPEN) or ("PNG",)


def is_moving(image: Image.Image) -> bool:
    """Tells whether a picture is an animation: a GIF, WebP, PNG or AVIF of several frames."""
    with contextlib.suppress(Exception):  # a second frame may be damaged in any way
        return image.format in _MOVING and bool(getattr(image, "is_animated", False))
    return False


def kind_of(path: str | os.PathLike[str]) -> str:
    """Tells by its content what a file is: ``photo``, ``clip``, or ``""`` for anything else.

    An animation is a clip. A file that cannot be opened is ``""``, and so is a pipe or a device,
    which is not opened: it might never answer.
    """
    if not os.path.isfile(path):  # noqa: PTH113 - a str may hold any name
        return ""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a str may hold any name
            head = file.read(4096)
            name = picture_format(head)
            if name is None or (name == "BMP" and head[6:10] != bytes(4)):
                is_stream = head[:1] == head[188:189] == head[376:377] == b"G"
                is_stream |= head[4:5] == head[196:197] == head[388:389] == b"G"
                return "clip" if is_stream or guess_content(head).endswith(_CLIPS) else ""
            moves = head[12:16] == b"VP8X" and head[20] & 2
            if not (moves or name == "GIF" or b"acTL" in head or head[4:12] == b"ftypavis"):
                return "photo"
            with silent_pillow(), open_picture(head + file.read(_MAX_BYTES)) as image:
                return "clip" if is_moving(image) else "photo"
    except Exception:  # noqa: BLE001 - decoders raise anything; what begins like a photo is one
        return "photo" if os.access(path, os.R_OK) else ""


def guess_file(path: str | os.PathLike[str]) -> str:
    """Says what a file seems to be, as :func:`guess_content` does."""
    if os.path.exists(path) and not os.path.isfile(path):  # noqa: PTH110, PTH113
        return "is a pipe, socket or device"
    try:
        with open(path, "rb") as stream:  # noqa: PTH123 - a str may hold any name
            head = stream.read(512)
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return guess_content(head, failed=False) if head else "is empty"


def guess_content(data: bytes, *, failed: bool = True) -> str:
    """Says what bytes seem to be, as the end of a sentence: ``is text``.

    ``failed``: no decoder knew them, so that what begins like a picture is a damaged one.
    """
    for offset, sign, meaning in _SIGNS:
        if data[offset : offset + len(sign)] == sign:
            return meaning
    for offset, sign, name, _ in _PICTURES:
        if data[offset : offset + len(sign)] == sign:
            damaged = f"starts like a {name}, but its header is damaged or cut short"
            return damaged if failed else f"is a {name} picture"
    head = data[:512]
    if b"<svg" in head:
        return "is an SVG drawing: export it as PNG"
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<":
        return "is HTML or XML text"
    if head and all(byte >= 32 or byte in b"\t\n\r\f" for byte in head):
        return "is text"
    return "starts with " + (repr(data[:8]) if data else "nothing")
