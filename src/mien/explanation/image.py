"""Explanations of whole photos: detection, framing, map, and back into the picture."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.explanation.activation import label_columns
from mien.explanation.methods import FaceBatch, batch_maps, run_batch
from mien.explanation.sheets import paint_maps
from mien.images import ImageSource, encode, save_image
from mien.recognizer import EmotionRecognizer, as_recognizer

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from mien.arrays import F32, F64, U8
    from mien.results import ImageResult


@dataclass(frozen=True, eq=False)
class ReadImage:
    """A photo, what was read in it, and what the network saw.

    Args:
        image_rgb: uint8 (H, W, 3), upright.
        result: The answer.
        squares_xyxy: float64 (N, 4), the regions that were cut out, in pixels of the picture.
        batch: The N crops with their logits and features.
    """

    image_rgb: U8
    result: ImageResult
    squares_xyxy: F64
    batch: FaceBatch

    def maps(
        self, recognizer: EmotionRecognizer, *, label: str | None = None, method: str | None = None
    ) -> F32:
        """Explains the faces: float32 (N, h, w), on the method's own scale.

        Raises:
            ConfigError, ModelError, MissingExtraError: See :func:`mien.explanation.explain_crops`.
        """
        return batch_maps(recognizer, self.batch, label, method)

    def overlay(self, maps: F32, *, label: str | None = None, boxes: bool = True) -> U8:
        """Paints maps (N, h, w) into the photo, with a box and the explained label's probability.

        A map fades with that probability.

        Args:
            maps: One for each face.
            label: The label explained; None: each face's top one.
            boxes: Draw boxes and labels too.
        """
        from mien.results.annotation import draw_faces

        shares = np.array([face.probs[label or face.emotion] for face in self.result.faces])
        painted = paint_maps(self.image_rgb, self.squares_xyxy, maps, shares)
        if not boxes or not self.result.faces:
            return painted
        return draw_faces(painted, self.result, label=label)


def read_image(
    recognizer: EmotionRecognizer, source: ImageSource, *, bgr: bool = False
) -> ReadImage:
    """Reads one picture as :meth:`EmotionRecognizer.predict` does, and keeps what it takes to
    explain it; the network runs once.

    Raises:
        InputError: If the picture cannot be read.

    >>> from mien import EmotionRecognizer
    >>> picture = np.zeros((48, 60, 3), np.uint8)
    >>> read_image(EmotionRecognizer(detector="none"), picture).squares_xyxy.tolist()
    [[6.0, 0.0, 54.0, 48.0]]
    """  # noqa: D205
    prepared = recognizer.pipeline.prepare(source, bgr=bgr, keep_image=True)
    if prepared.error is not None:
        raise prepared.error
    assert prepared.image_rgb is not None  # noqa: S101 - it was to be kept
    start = time.perf_counter()
    batch = run_batch(recognizer, prepared.crops)
    prepared.timings_ms["inference"] = round((time.perf_counter() - start) * 1000, 3)
    result = recognizer.pipeline.finish(prepared, batch.logits)
    return ReadImage(prepared.image_rgb, result, prepared.squares_xyxy, batch)


@dataclass(frozen=True, eq=False)
class Explanation:
    """A picture with what speaks for an emotion painted in.

    Args:
        result: The answer of ``predict``.
        maps: float32 (N, h, w), one for each face, on the method's own scale.
        image_rgb: uint8 (H, W, 3), the picture with the maps; without a face, as it was.
    """

    result: ImageResult
    maps: F32
    image_rgb: U8

    def show(self) -> None:
        """Shows the painted picture: in a notebook, else in the system's viewer."""
        from mien.results.drawing import show_image

        show_image(self.image_rgb, self.result.source)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Writes the painted picture; see :func:`mien.images.save_image`.

        Raises:
            ConfigError: If the suffix is no picture's, or the file exists and ``overwrite`` is off.
        """
        return save_image(path, self.image_rgb, overwrite=overwrite)

    def _repr_png_(self) -> bytes:
        return encode(self.image_rgb)


def explain(
    source: ImageSource,
    model: str | Path | EmotionRecognizer | None = None,
    *,
    label: str | None = None,
    method: str | None = None,
    boxes: bool = True,
    bgr: bool = False,
    **options: Any,
) -> Explanation:
    """Reads a picture and shows which parts of each face speak for a label.

    Args:
        source: A picture; see :meth:`mien.EmotionRecognizer.predict`.
        model: A model folder, a name, a recognizer, or None: the bundled model.
        label: A label of the answer's schema; None: each face's top one.
        method: A name of ``mien.explanation.METHODS``; None: ``"cam"``, which needs no torch, or
            what fits the network (see :func:`mien.explanation.choose_method`).
        boxes: Draw each face's box and the label's probability too.
        bgr: An array's channels are in OpenCV's order.
        **options: As for :class:`mien.EmotionRecognizer`.

    Returns:
        The result of ``predict``, the maps, and the painted picture.

    Raises:
        InputError: If the picture cannot be read.
        DetectorError: If the detector fails on it.
        ConfigError: If the label, the method or an option is unknown.
        ModelError: If the method does not fit the network.
        MissingExtraError: If the method needs an extra.

    >>> explanation = mien.explain("photo.jpg", label="happiness")
    >>> explanation.result.faces[0].emotion, explanation.image_rgb.shape
    ('happiness', (512, 512, 3))
    >>> explanation.save("why.png").name
    'why.png'
    """
    recognizer = as_recognizer(model, **options)
    if label is not None:
        label_columns(np.ones((0, 1)), label, recognizer.pipeline.schema)
        label = recognizer.labels[recognizer.pipeline.schema.index(label)]
    read = read_image(recognizer, source, bgr=bgr)
    maps = read.maps(recognizer, label=label, method=method)
    return Explanation(read.result, maps, read.overlay(maps, label=label, boxes=boxes))
