"""From a path, bytes or a file object to the bytes of one image file, within limits."""

from __future__ import annotations

import errno
import os
import re
import stat
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mien.errors import ConfigError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 1 << 20


@dataclass(frozen=True)
class ImageLimits:
    """How much picture to accept before it is refused.

    A picture at the default pixel limit takes about 1 GB while it is decoded, 2 GB with
    transparency.

    Args:
        max_bytes: Largest image file, in bytes.
        max_pixels: Most pixels (width times height).
        max_side: Longest side, in pixels.

    Raises:
        ConfigError: If a limit is not a whole number above 0.

    >>> ImageLimits(max_pixels=1_000_000).max_side
    32768
    """

    max_bytes: int = 50_000_000
    max_pixels: int = 100_000_000
    max_side: int = 32_768

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                reason = f"must be a whole number above 0; got {value!r}"
                raise ConfigError(reason, subject=field.name)

    def check_size(self, width: int, height: int, name: str) -> None:
        """Refuses a picture that is empty or has too many pixels.

        Raises:
            InputError: If it has no pixel, too many, or a side that is too long.
        """
        if width < 1 or height < 1:
            raise InputError(f"is {width}x{height} pixels: there is nothing in it", subject=name)
        if width * height > self.max_pixels:
            reason = (
                f"is {width}x{height} = {width * height:,} pixels; the limit is {self.max_pixels:,}"
            )
            hint = "Make it smaller, or pass ImageLimits(max_pixels=...)."
            raise InputError(reason, subject=name, hint=hint)
        if max(width, height) > self.max_side:
            reason = f"is {width}x{height} pixels; no side may be over {self.max_side:,}"
            hint = "Make it smaller, or pass ImageLimits(max_side=...)."
            raise InputError(reason, subject=name, hint=hint)

    def check_bytes(self, size: int, name: str) -> None:
        """Refuses an image file that is empty or too big.

        Raises:
            InputError: If it has no byte or more than ``max_bytes``.
        """
        if size == 0:
            raise InputError("is empty (0 bytes): there is no picture in it", subject=name)
        if size > self.max_bytes:
            reason = f"is over the limit of {self.max_bytes:,} bytes"
            hint = "Save it smaller, or pass ImageLimits(max_bytes=...)."
            raise InputError(reason, subject=name, hint=hint)


def address_of(path: str) -> str:
    """Returns the address that a path was meant as, empty where it is a path of this machine.

    A ``Path`` keeps one slash of two.

    >>> address_of("https:/example.org/a.jpg"), address_of("C:/photos/a.jpg")
    ('https://example.org/a.jpg', '')
    """
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/+(?=[^/])", path)
    return f"{match[1]}://{path[match.end() :]}" if match and not os.path.exists(path) else ""  # noqa: PTH110


def address_error(address: str) -> InputError:
    """Returns why an address is not read as a file, and what to do."""
    scheme, _, path = address.partition("://")
    hints = {
        "file": f"Give the path without it: /{path}.",
        "http": "Download the picture, and give its path or bytes.",
        "https": "Download the picture, and give its path or bytes.",
    }
    hint = hints.get(scheme, "A job reads stores: mien predict ... -o results.parquet.")
    return InputError("is an address, not a file", subject=repr(address), hint=hint)


def describe(source: object) -> str:
    """Names a source in an error message."""
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        return repr((isinstance(path, str) and address_of(path)) or path)
    if isinstance(source, bytes | bytearray):
        return f"{type(source).__name__} ({len(source)})"
    if isinstance(source, np.ndarray):
        return f"array {source.dtype} {source.shape}"
    if isinstance(source, Image.Image):
        return f"PIL image {source.mode} {source.width}x{source.height}"
    if hasattr(source, "read"):
        name = getattr(source, "name", None)
        return f"file {name!r}" if isinstance(name, str) else type(source).__name__
    return type(source).__name__


def read_bytes(source: object, *, limits: ImageLimits) -> tuple[bytes, str]:
    """Reads one image file whole: 1 to ``limits.max_bytes`` bytes, and a name for messages."""
    name = describe(source)
    if isinstance(source, str | os.PathLike):
        data = _read_path(os.fspath(source), name, limits)
    elif isinstance(source, bytes | bytearray | memoryview):
        try:
            limits.check_bytes(memoryview(source).nbytes, name)
            data = bytes(source)
        except (ValueError, BufferError, NotImplementedError) as error:
            raise InputError(f"cannot be read ({error}): pass bytes", subject=name) from error
    elif callable(read := getattr(source, "read", None)):
        data = _read_stream(read, name, limits)
        if not data and (at := _position(source)):
            reason = f"stands at its end, after {at:,} bytes, so that there is nothing to read"
            raise InputError(reason, subject=name, hint="Call seek(0) on it first.")
    else:
        many = " For several pictures call predict_many, or give them one by one."
        several = many if isinstance(source, list) else ""
        raise InputError(
            f"cannot read a picture from {name}: give a path, the bytes of an image file, a file "
            f"opened with 'rb', a PIL image or a numpy array.{several}"
        )
    limits.check_bytes(len(data), name)
    return data, name


def _position(stream: Any) -> int:
    """Returns where a stream stands, 0 where it does not say."""
    try:
        return int(stream.tell())
    except Exception:  # noqa: BLE001 - a stream of anybody's
        return 0


def _read_stream(read: Callable[[int], Any], name: str, limits: ImageLimits) -> bytes:
    chunks: list[bytes] = []
    left = limits.max_bytes + 1
    while left > 0:
        try:
            chunk = read(min(left, _CHUNK))
        except Exception as error:
            raise InputError(f"cannot be read ({error}): is it open?", subject=name) from error
        if not isinstance(chunk, bytes | bytearray | memoryview):
            kind = "text" if isinstance(chunk, str) else type(chunk).__name__
            raise InputError(f"gives {kind} when read, not bytes: open it with 'rb'", subject=name)
        if len(chunk) == 0:
            break
        chunks.append(bytes(chunk))
        left -= len(chunks[-1])
    return b"".join(chunks)


def _read_path(path: str | bytes, name: str, limits: ImageLimits) -> bytes:
    if isinstance(path, bytes):
        raise InputError(f"cannot read a picture from {name}: give the path as str or Path.")
    if address := address_of(path):
        raise address_error(address)
    try:
        _check_regular(os.stat(path).st_mode, name)  # noqa: PTH116 - a str may hold any name
        # Between the two checks a name may come to mean a pipe: never wait for its other end.
        descriptor = os.open(
            path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        )
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            _check_regular(status.st_mode, name)
            limits.check_bytes(status.st_size, name)
            return _read_stream(file.read, name, limits)
    except (OSError, ValueError) as error:
        raise InputError(_path_trouble(path, name, error)) from error


def _check_regular(mode: int, name: str) -> None:
    if stat.S_ISDIR(mode):
        raise InputError("is a folder: give one picture, or list it with list_images", subject=name)
    if not stat.S_ISREG(mode):
        reason = "is a pipe, socket or device: copy the picture to a file first"
        raise InputError(reason, subject=name)


def _path_trouble(path: str, name: str, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        folder = Path(path).absolute().parent
        where = "" if folder.is_dir() else f" (there is no folder {str(folder)!r} either)"
        return f"there is no file {name}{where}: check the path."
    if isinstance(error, PermissionError):
        return f"{name} may not be read by this user: change its permissions or copy it."
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return f"{name[:60]}... is too long for a path: pass the picture's bytes as bytes."
    return f"{name} cannot be read ({error}): check the path."
