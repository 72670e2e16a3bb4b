"""The recognizer's own stages, one picture at a time: what threads do before the network runs."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from mien.data.faces import whole_box
from mien.errors import InputError, MienError
from mien.faces import Detections
from mien.images import decode
from mien.preprocess import crop_faces
from mien.recognizer import PreparedImage

if TYPE_CHECKING:
    from mien.recognizer import EmotionRecognizer


def prepare_photo(recognizer: EmotionRecognizer, data: bytes, name: str) -> PreparedImage:
    """Decodes, detects and crops as :meth:`EmotionRecognizer.predict` does."""
    prepared = recognizer.prepare(data)
    return _named(prepared, name)


def prepare_face(recognizer: EmotionRecognizer, data: bytes, name: str) -> PreparedImage:
    """Decodes and crops as :meth:`EmotionRecognizer.predict_faces` does: the centred square."""
    prepared = PreparedImage(name)
    start = time.perf_counter()
    try:
        image_rgb = decode(data, limits=recognizer.limits)
    except InputError as error:
        prepared.error = error
        return _named(prepared, name)
    height, width = image_rgb.shape[:2]
    box = whole_box(width, height)
    prepared.crops = crop_faces(image_rgb, [box], recognizer.config.preprocessing)
    prepared.size = (width, height)
    prepared.detections = Detections([box], [1.0])  # type: ignore[arg-type]
    prepared.timings_ms["decode"] = round((time.perf_counter() - start) * 1000, 3)
    return prepared


def _named(prepared: PreparedImage, name: str) -> PreparedImage:
    prepared.source = name
    if prepared.error is not None:
        prepared.error = InputError(explain_error(prepared.error, name))
    return prepared


def explain_error(error: MienError, name: str) -> str:
    """Returns the library's message with the picture's name, which it cannot know of bytes.

    >>> explain_error(InputError("bytes (1) is not a picture."), "a.jpg")
    'a.jpg is not a picture.'
    """
    message = re.sub(r"bytes \([\d,]+\)", lambda _: name, str(error))
    return message.split(", or pass ImageLimits")[0]
