"""The models of the page, and one photo: read, explained and compared, ready to be shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mien.detectors import crop_box
from mien.errors import InputError
from mien.explanation import light_method, read_image
from mien.images import ImageLimits, encode
from mien.preprocess import Preprocessing, crop_faces
from mien.recognizer import EmotionRecognizer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mien.arrays import U8
    from mien.demo.config import DemoConfig
    from mien.errors import MienError
    from mien.explanation import ReadImage
    from mien.results import ImageResult

#: Longest side of the picture that is sent back, and side of a face next to its bars.
_SHOWN, _FACE = 1280, Preprocessing(size=96, color="rgb")
#: Most pixels a photo may have, and most faces that are shown of one.
MAX_PIXELS, MAX_FACES = 25_000_000, 50


@dataclass(frozen=True)
class Model:
    """A recognizer, what the page calls it, and which method, without torch, makes its maps."""

    name: str
    recognizer: EmotionRecognizer
    method: str


def open_models(config: DemoConfig) -> dict[str, Model]:
    """Opens the models of the settings, each with one run to be sure of it."""
    limits = ImageLimits(max_bytes=config.max_bytes, max_pixels=MAX_PIXELS)
    models = {}
    for given, folder in (config.models or {"": None}).items():
        recognizer = EmotionRecognizer(
            folder, max_faces=MAX_FACES, limits=limits, device=config.device
        )
        name = given or recognizer.config.name
        models[name] = Model(name, recognizer, light_method(recognizer))
    return models


def choose(models: dict[str, Model], name: str | None) -> Model:
    """Returns the model of a name; None or an empty one: the first."""
    if not name:
        return next(iter(models.values()))
    if name not in models:
        raise InputError(f"no model {str(name)[:80]!r} here", hint=f"Known: {', '.join(models)}.")
    return models[name]


@dataclass(frozen=True, eq=False)
class PhotoAnswer:
    """What is shown of a photo, as JPEG: it alone, with boxes, with maps, and each face alone."""

    result: ImageResult
    picture: bytes
    drawn: bytes
    painted: bytes | None
    faces: tuple[bytes, ...]


def read_photo(
    model: Model, photo: bytes, *, explain: bool = False, label: str | None = None
) -> PhotoAnswer:
    """Reads a photo, the bytes of an image file, and draws what was found.

    To ``explain`` it paints class-activation maps too, of ``label`` or each face's most likely one.
    """
    read = read_image(model.recognizer, photo)
    result = replace(read.result, source="photo")
    painted = None
    if explain and result.faces:
        maps = read.maps(model.recognizer, label=label, method=model.method)
        painted = to_jpeg(read.overlay(maps, label=label, boxes=False))
    picture, drawn = to_jpeg(read.image_rgb), to_jpeg(result.draw(read.image_rgb))
    return PhotoAnswer(result, picture, drawn, painted, _portraits(model, read))


def compare_photo(models: Mapping[str, Model], photo: bytes) -> dict[str, ImageResult]:
    """Reads a photo with each model: name to result. All look for faces in the same way."""
    return {name: model.recognizer.predict(photo) for name, model in models.items()}


def to_jpeg(image_rgb: U8, side: int = _SHOWN) -> bytes:
    """Returns a picture as JPEG, scaled down where its longest side is over ``side``."""
    height, width = image_rgb.shape[:2]
    scale = side / max(height, width)
    if scale < 1:
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        image_rgb = np.asarray(Image.fromarray(image_rgb).resize(size, Image.Resampling.BOX))
    return encode(image_rgb, suffix=".jpg", quality=88)


def friendly(error: MienError, path: Path | None = None) -> str:
    """Returns a message without what only a programmer can act on, and without a file's place."""
    message = str(error) if path is None else str(error).replace(str(path), "the file")
    message = re.sub(r"\bbytes \([\d,]+\)|<bytes>", lambda _: "the file", message)
    message = message.split(", or pass ImageLimits")[0].rstrip(". ") + "."
    return message[0].upper() + message[1:]


def _portraits(model: Model, read: ReadImage) -> tuple[bytes, ...]:
    framing = model.recognizer.pipeline.detector.framing
    squares = [crop_box(np.array(f.box_xyxy), framing, margin=1.2) for f in read.result.faces]
    crops = crop_faces(read.image_rgb, np.reshape(squares, (-1, 4)), _FACE)
    return tuple(encode(crop, suffix=".jpg", quality=80) for crop in crops)
