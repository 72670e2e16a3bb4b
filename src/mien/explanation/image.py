"""Explanations of whole photos: detection, framing, map, and back into the picture."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from mien.explanation.activation import label_columns
from mien.explanation.methods import FaceBatch, choose_method, method_spec, run_batch
from mien.explanation.painting import paint_maps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mien.images import ImageSource
    from mien.recognizer import EmotionRecognizer
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

    image_rgb: NDArray[np.uint8]
    result: ImageResult
    squares_xyxy: NDArray[np.float64]
    batch: FaceBatch

    def maps(
        self,
        recognizer: EmotionRecognizer,
        *,
        label: str | None = None,
        method: str | None = None,
    ) -> NDArray[np.float32]:
        """Explains the faces: float32 (N, h, w), on the method's own scale.

        Raises:
            ConfigError, ModelError, MissingExtraError: See :func:`mien.explanation.explain_crops`.
        """
        if method is not None:
            method_spec(method)
        probs = recognizer.pipeline.probs(self.batch.logits)
        columns = label_columns(probs, label, recognizer.pipeline.schema)
        if not len(columns):
            return np.zeros((0, 1, 1), np.float32)
        run = choose_method(recognizer, self.batch, method).run
        return run(recognizer, self.batch, columns)

    def overlay(
        self, maps: NDArray[np.float32], *, label: str | None = None, boxes: bool = True
    ) -> NDArray[np.uint8]:
        """Paints maps (N, h, w) into the photo, with a box and the explained label's probability.

        Args:
            maps: One for each face.
            label: The label explained; None: each face's top one.
            boxes: Draw boxes and labels too.
        """
        from mien.results.drawing import draw_faces

        painted = paint_maps(self.image_rgb, self.squares_xyxy, maps)
        if not boxes or not self.result.faces:
            return painted
        shown = self.result if label is None else _with_label(self.result, label)
        return draw_faces(painted, shown)


@dataclass(frozen=True)
class _Face:
    box_xyxy: tuple[float, float, float, float]
    emotion: str
    confidence: float
    probs: Mapping[str, float]
    track_id: int | None = None


@dataclass(frozen=True)
class _Result:
    width: int
    height: int
    faces: tuple[_Face, ...]


def _with_label(result: ImageResult, label: str) -> ImageResult:
    """Returns what the drawing reads of a result, with one label in place of the top ones."""
    faces = tuple(_Face(f.box_xyxy, label, f.probs[label], f.probs) for f in result.faces)
    return cast("ImageResult", _Result(result.width, result.height, faces))


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


def explain_image(
    recognizer: EmotionRecognizer,
    image_rgb: ImageSource,
    *,
    label: str | None = None,
    method: str | None = None,
    boxes: bool = True,
) -> tuple[ImageResult, NDArray[np.uint8]]:
    """Reads a picture and shows which places of each face speak for a label.

    Args:
        recognizer: The model.
        image_rgb: uint8 (H, W, 3), or any other picture that ``predict`` takes.
        label: A label of the recognizer's schema; None: each face's top one.
        method: A name of ``mien.explanation.METHODS``; None: ``"cam"``, which needs no torch, or
            what fits the network (see :func:`mien.explanation.choose_method`).
        boxes: Draw each face's box and the label's probability too.

    Returns:
        The result of ``predict``, and a new picture uint8 (H, W, 3) with the maps painted in;
        without a face, the picture as it was.

    Raises:
        InputError: If the picture cannot be read.
        ConfigError: If the label or method is unknown.
        ModelError: If the method does not fit the network.
        MissingExtraError: If the method needs an extra.

    >>> from mien import EmotionRecognizer
    >>> recognizer = EmotionRecognizer()
    >>> result, overlay = explain_image(recognizer, "src/mien/assets/sample/astronaut.jpg")
    >>> result.faces[0].emotion, overlay.shape
    ('happiness', (512, 512, 3))
    """
    if label is not None:
        label_columns(np.ones((0, 1)), label, recognizer.pipeline.schema)
        label = recognizer.labels[recognizer.pipeline.schema.index(label)]
    read = read_image(recognizer, image_rgb)
    if not read.result.faces:
        return read.result, read.image_rgb
    maps = read.maps(recognizer, label=label, method=method)
    return read.result, read.overlay(maps, label=label, boxes=boxes)
