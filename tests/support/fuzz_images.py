"""What the tests of fuzz images share."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from mien import EmotionRecognizer
from mien.images import ImageLimits, decode

#: Small, as a service would set it, so that an edited header cannot make one decode slow.
LIMITS = ImageLimits(max_bytes=1_000_000, max_pixels=2_000_000)


Target = Callable[[bytes], object]


def decode_target(data: bytes) -> object:
    image_rgb = decode(data, limits=LIMITS)
    assert image_rgb.dtype == np.uint8
    assert image_rgb.ndim == 3
    assert image_rgb.shape[2] == 3
    assert image_rgb.size <= 3 * LIMITS.max_pixels
    return image_rgb


@functools.cache
def recognizer() -> EmotionRecognizer:
    return EmotionRecognizer(limits=LIMITS)


def predict_target(data: bytes) -> object:
    result = recognizer().predict(data)
    assert result.width * result.height <= LIMITS.max_pixels
    return result


#: Whatever takes the bytes of strangers: add it here.
TARGETS: dict[str, Target] = {"decode": decode_target, "predict": predict_target}


def seeds() -> list[bytes]:
    rng = np.random.default_rng(7)
    rgb = Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8))
    deep = Image.fromarray(rng.integers(0, 65536, (24, 32), np.uint16))
    frames: dict[str, Any] = {"save_all": True, "append_images": [rgb.rotate(90), rgb.rotate(180)]}
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    wanted: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (rgb, "JPEG", {"exif": exif}),
        (rgb, "JPEG", {"progressive": True, "icc_profile": bytes(200)}),
        (rgb.convert("CMYK"), "JPEG", {}),
        (rgb, "MPO", {"save_all": True, "append_images": [rgb]}),
        (rgb, "PNG", {"exif": exif}),
        (rgb.convert("RGBA"), "PNG", frames),
        (rgb.quantize(16), "PNG", {"transparency": 3}),
        (deep, "PNG", {}),
        (rgb, "WEBP", {"exif": exif}),
        (rgb.convert("RGBA"), "WEBP", {"lossless": True}),
        (rgb, "WEBP", frames),
        (rgb, "BMP", {}),
        (rgb.quantize(16), "BMP", {}),
        (rgb, "GIF", frames),
        (rgb.quantize(16), "GIF", {"transparency": 3}),
        (rgb, "TIFF", {"exif": exif}),
        (rgb, "TIFF", {"compression": "tiff_lzw"}),
        (rgb, "TIFF", {"compression": "jpeg"}),
        (rgb.convert("1"), "TIFF", {"compression": "group4"}),
        (deep, "TIFF", {"compression": "tiff_adobe_deflate"}),
    ]
    files = []
    for image, image_format, options in wanted:
        buffer = io.BytesIO()
        image.save(buffer, image_format, **options)
        files.append(buffer.getvalue())
    return files
