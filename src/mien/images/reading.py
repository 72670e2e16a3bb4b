"""Pictures in: any source becomes one array, uint8 RGB (H, W, 3), or an ``InputError``.

``decode`` trusts nothing: not the suffix, not the header, not the size on disk. It reads JPEG,
PNG, WebP, BMP, GIF, TIFF, PPM, AVIF and, with the extra ``heif``, HEIC; it refuses what is too
big from the size on disk and from the header, before a pixel is decoded; whatever goes wrong inside
a decoder comes out as an ``InputError``, and no Python warning is shown. (libtiff, inside Pillow,
may still print a line to stderr about a damaged TIFF.) Any number of threads may call it.
"""

from __future__ import annotations

import os
import weakref
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np
from PIL import Image, JpegImagePlugin

from mien.errors import ConfigError, InputError
from mien.images.guard import is_moving, open_picture, refusals, silent_pillow
from mien.images.mending import mend
from mien.images.pixels import array_to_rgb, is_on_its_side, pil_to_rgb
from mien.images.source import ImageLimits, describe, read_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from mien.arrays import U8

ImageSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO"
    " | Image.Image | NDArray[np.generic]"
)

_DEFAULT_LIMITS = ImageLimits()


@dataclass
class OpenedImage:
    """A picture that was decoded, perhaps at a reduced size.

    Args:
        image_rgb: uint8 (h, w, 3).
        width: Of the whole picture, upright, in pixels.
        height: Of the whole picture.
        again: Decodes it whole; None where ``image_rgb`` is the whole already.
        moves: It is the first frame of an animation, which ``mien.predict_video`` reads whole.
        damage: What the file lacks, in a sentence; empty where it is whole.
    """

    image_rgb: U8
    width: int
    height: int
    again: Callable[[], U8] | None = None
    moves: bool = False
    damage: str = ""

    @property
    def factors(self) -> tuple[float, float]:
        """Pixels of the whole picture per pixel of ``image_rgb``, across and down."""
        height, width = self.image_rgb.shape[:2]
        return self.width / width, self.height / height

    def whole(self) -> U8:
        """Returns uint8 (height, width, 3).

        Raises:
            InputError: If the whole cannot be decoded though the reduced picture could.
        """
        if self.again is not None:
            self.image_rgb, self.again = self.again(), None
        return self.image_rgb


def decode(source: ImageSource, *, limits: ImageLimits = _DEFAULT_LIMITS, bgr: bool = False) -> U8:
    """Reads a picture from anywhere into one form.

    The picture is turned upright by its EXIF orientation. Transparent parts are laid over mid
    grey (128, 128, 128): white or black would draw a hard edge around light or dark hair, and
    grey is close to nothing after a model's input is normalised. The first frame of an animation is
    taken. 16-bit grey is scaled (65535 becomes 255), never clipped. Colour profiles are not
    applied: CMYK is converted by the plain formula. A file that ends too early is read where at
    most a tenth of its rows are missing; these are of one colour.

    Args:
        source: A path; the bytes of an image file; a file opened in binary mode (read from where
            it stands); a PIL image; or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of
            uint8, uint16 (0..65535), bool, or float in 0..1.
        limits: How much to accept; see :class:`ImageLimits`.
        bgr: The colour channels of an array are in OpenCV's order. Arrays only.

    Returns:
        A new array, uint8 (H, W, 3), RGB, contiguous and writable.

    Raises:
        InputError: If the picture is missing, unreadable, damaged, too big, or of a kind that
            mien does not read.
        ConfigError: If ``bgr`` is set for something that is not an array.

    >>> decode(np.zeros((2, 3), np.uint8)).shape
    (2, 3, 3)
    """
    return open_image(source, limits=limits, bgr=bgr).image_rgb


def open_image(
    source: ImageSource,
    *,
    min_side: int | None = None,
    limits: ImageLimits = _DEFAULT_LIMITS,
    bgr: bool = False,
) -> OpenedImage:
    """Reads a picture as :func:`decode` does, a large JPEG file at a reduced size.

    A JPEG file holds blocks of 8x8 pixels as frequencies. Leaving the high ones out gives a half,
    a quarter or an eighth of the size for a fraction of the work: a photo of 12 million pixels at
    half its size takes about a third of the time. A face detector scales it down anyway.

    Args:
        source: As for :func:`decode`.
        min_side: The shorter side may shrink to this, in pixels; None: nothing is reduced.
        limits: As for :func:`decode`; they are held against the whole picture.
        bgr: As for :func:`decode`.

    Returns:
        The picture with the size of the whole, which it decodes when asked for.

    Raises:
        InputError: See :func:`decode`.
        ConfigError: See :func:`decode`.

    >>> from mien.images import encode
    >>> open_image(encode(np.zeros((80, 120, 3), np.uint8), suffix=".jpg"), min_side=40).factors
    (2.0, 2.0)
    """
    if isinstance(source, np.ndarray):
        return _whole(array_to_rgb(source, limits=limits, bgr=bgr))
    if bgr:
        raise ConfigError(
            f"bgr=True is for arrays, which do not say their order; got {describe(source)}, "
            "which does",
            hint="Leave bgr out.",
        )
    if isinstance(source, Image.Image):
        name = describe(source)
        with refusals(name), silent_pillow():
            return _whole(pil_to_rgb(source, name=name, limits=limits))
    data, name = read_bytes(source, limits=limits)
    try:
        return _open_file(data, name, limits, min_side)
    except InputError:
        mended = mend(data, lambda other: _decode_file(other, name, limits))
        if mended is None:
            raise
    opened = _open_file(mended[0], name, limits, min_side)
    opened.damage = mended[1]
    return opened


def _open_file(data: bytes, name: str, limits: ImageLimits, min_side: int | None) -> OpenedImage:
    with refusals(name, data), silent_pillow(), open_picture(data) as im:
        limits.check_size(im.width, im.height, name)
        size = im.size
        if min_side is not None and isinstance(im, JpegImagePlugin.JpegImageFile):
            im.draft(im.mode, (min_side, min_side))
        reduced = im.size != size
        image_rgb = pil_to_rgb(im, name=name, limits=limits)
        width, height = size[::-1] if is_on_its_side(im) else size
        moves = is_moving(im)
    if not reduced:
        return OpenedImage(image_rgb, width, height, moves=moves)
    return OpenedImage(image_rgb, width, height, partial(_decode_file, data, name, limits))


def _whole(image_rgb: U8) -> OpenedImage:
    return OpenedImage(image_rgb, image_rgb.shape[1], image_rgb.shape[0])


def _decode_file(data: bytes, name: str, limits: ImageLimits) -> U8:
    with refusals(name, data), silent_pillow(), open_picture(data) as im:
        return pil_to_rgb(im, name=name, limits=limits)


class Origin:
    """Where a picture came from: enough to decode it again, never its pixels.

    Called, it decodes the picture as :func:`decode` does. A path and the bytes of a file are kept;
    an array or PIL image only while somebody else holds it; else the path that its name gives.
    """

    def __init__(
        self, source: object, *, limits: ImageLimits = _DEFAULT_LIMITS, bgr: bool = False
    ) -> None:
        self._options: dict[str, Any] = {"limits": limits, "bgr": bgr}
        self._name = getattr(source, "filename", None) or getattr(source, "name", None)
        if isinstance(source, (str, os.PathLike, bytes)):
            self._get: Callable[[], Any] = lambda: source
        else:
            try:
                self._get = weakref.ref(source)
            except TypeError:
                self._get = lambda: None

    def __call__(self) -> U8:
        """Decodes the picture."""
        source = self._get()
        if source is None or hasattr(source, "read"):
            source = self._name if isinstance(self._name, str) else None
        if source is None:
            reason = "the picture that was read is not held in memory any more"
            raise InputError(reason, hint="Pass it, as in result.draw(image_rgb).")
        return decode(source, **self._options)
