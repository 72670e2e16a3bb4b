"""From a decoded picture of any mode, or an array of any dtype, to uint8 RGB (H, W, 3)."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import ExifTags, Image

from mien.errors import InputError
from mien.images.source import describe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.arrays import U8
    from mien.images.source import ImageLimits

#: What lies behind transparent parts; :func:`mien.images.reading.decode` says why.
BACKGROUND = 128
_ORDER = "An array in OpenCV's order needs bgr=True."

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip


def check_rgb(image_rgb: object, what: str, *, shape: tuple[int, ...] = ()) -> tuple[int, int]:
    """Checks that an array is a picture, uint8 (H, W, 3) and not empty, and returns (H, W).

    ``what`` begins the message; a ``shape`` must fit as a whole.
    """
    if isinstance(image_rgb, np.ndarray):
        height, width, *channels = (*image_rgb.shape, 0, 0)[: max(image_rgb.ndim, 2)]
        is_rgb = image_rgb.dtype == np.uint8 and channels == [3] and image_rgb.size > 0
        if is_rgb and shape in {(), image_rgb.shape}:
            return height, width
        given = f"{image_rgb.dtype} {image_rgb.shape}"
    else:
        given = type(image_rgb).__name__
    reason = f"{what} a uint8 picture {shape or '(H, W, 3)'}; got {given}"
    raise InputError(reason, hint="mien.images.decode makes one from anything.")


def pil_to_rgb(image: Image.Image, *, name: str, limits: ImageLimits) -> U8:
    """Loads, turns upright and converts a PIL image; the size is checked before pixels are read."""
    limits.check_size(image.width, image.height, name)
    image.load()
    limits.check_size(image.width, image.height, name)  # some formats know only now
    turn = _TURNS.get(_orientation(image))
    if image.mode.startswith("I") or image.mode == "F":
        # The largest value is that of 16 bits, of which TIFF may use 12.
        bits = getattr(image, "tag_v2", {}).get(258) if image.format == "TIFF" else None
        white = 4095 if bits == (12,) else 65535
        image = Image.fromarray(_scale_gray(np.asarray(image), white, name))
    return np.array(_to_rgb(image if turn is None else image.transpose(turn)))


def is_on_its_side(image: Image.Image) -> bool:
    """Returns whether turning a picture upright swaps its width and height."""
    return _orientation(image) in {5, 6, 7, 8}


def _orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation, 1 (upright) where there is none that can be read."""
    # Damaged EXIF data raises nearly anything; the picture itself is then still good.
    with contextlib.suppress(Exception):
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
        return value if isinstance(value, int) else 1
    return 1


def _scale_gray(values: NDArray[Any], white: int, name: str) -> U8:
    """Scales grey pixels of more than 8 bits (H, W) to uint8, ``white`` becoming 255."""
    if values.dtype.kind == "f":
        return _scale_unit(values, name)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > white:
        reason = (
            f"has grey values from {low} to {high}; mien reads 0 to {white}, and does not "
            "guess where white lies"
        )
        raise InputError(reason, subject=name, hint="Convert the picture to 8 bits.")
    wide = values.astype(np.uint32)
    wide *= 255
    wide += white // 2
    wide //= white
    return np.asarray(wide, np.uint8)


def _scale_unit(values: NDArray[Any], name: str) -> U8:
    """Scales floats in 0..1 to uint8."""
    low, high = float(values.min()), float(values.max())
    reason = f"has float pixels from {low:g} to {high:g}; mien reads floats in 0..1"
    if not (low >= 0.0 and high <= 1.0):  # false for NaN too
        hint = "Divide by the value of white, or convert to uint8."
        if 1 < high <= 255 and low >= 0:
            hint = f"For values of 0..255 pass array / 255. {_ORDER}"
        elif -1 <= low < 0 and high <= 1:
            hint = f"For values of -1..1 pass (array + 1) / 2. {_ORDER}"
        raise InputError(reason, subject=name, hint=hint)
    if 0 < high <= 1 / 255:
        hint = "That is black: was it divided by 255 twice?"
        raise InputError(reason, subject=name, hint=hint)
    return np.asarray(np.rint(values.astype(np.float32) * 255.0), np.uint8)


def _to_rgb(image: Image.Image) -> Image.Image:
    """Converts any 8-bit mode to RGB, laying transparent parts over the background."""
    keyed = "transparency" in image.info and image.mode in {"1", "L", "P", "RGB"}
    if image.mode == "RGB" and not keyed:
        return image
    if image.mode == "LAB":
        from PIL import ImageCms

        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
        converted = ImageCms.applyTransform(image, transform)
        if converted is None:
            raise InputError("cannot be converted: save it as RGB", subject=describe(image))
        return converted
    if image.mode in {"La", "RGBa"}:
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
    if image.mode in {"LA", "PA", "RGBA"} or keyed:
        rgba = image.convert("RGBA")
        ground = Image.new("RGBA", rgba.size, (BACKGROUND, BACKGROUND, BACKGROUND, 255))
        return Image.alpha_composite(ground, rgba).convert("RGB")
    return image.convert("RGB")


def array_to_rgb(array: NDArray[Any], *, limits: ImageLimits, bgr: bool) -> U8:
    """Makes a new array, uint8 (H, W, 3), of one that :func:`mien.images.decode` accepts."""
    name = describe(array)
    _check_shape(array.shape, name)
    limits.check_size(array.shape[1], array.shape[0], name)
    pixels = _to_uint8(array, name)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    if bgr:
        pixels = pixels[:, :, [2, 1, 0, 3][: pixels.shape[2]]]
    if pixels.shape[2] == 4:
        return np.array(_to_rgb(Image.fromarray(np.ascontiguousarray(pixels))))
    return np.array(pixels, order="C")


def _check_shape(shape: tuple[int, ...], name: str) -> None:
    if len(shape) == 2 or (len(shape) == 3 and shape[2] in {1, 3, 4}):
        return
    advice = "expected (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
    if len(shape) == 3 and shape[0] in {1, 3, 4}:
        advice = "channels come last here: pass np.moveaxis(array, 0, -1)"
    elif len(shape) == 4:
        advice = "it looks like a batch: pass one picture at a time"
    raise InputError(f"is not the shape of a picture; {advice}", subject=name)


def _to_uint8(array: NDArray[Any], name: str) -> U8:
    if array.dtype == np.uint8:
        return np.asarray(array)
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        if 0 < (high := int(array.max())) <= 255:
            reason = f"has values up to {high}, which are black where white is 65535"
            hint = f"For values of 0..255 pass array.astype(np.uint8). {_ORDER}"
            raise InputError(reason, subject=name, hint=hint)
        return _scale_gray(array, 65535, name)
    if array.dtype.kind == "f":
        return _scale_unit(array, name)
    reason = (
        "has a dtype that does not say where white lies; mien reads uint8, uint16, "
        "bool and float in 0..1"
    )
    raise InputError(
        reason, subject=name, hint=f"For values of 0..255 pass array.astype(np.uint8). {_ORDER}"
    )
