"""Does a map mark what the model uses? Deletion and insertion curves.

Petsiuk, Das and Saenko 2018 (RISE, https://arxiv.org/abs/1806.07421): delete the places of a face
from the most to the least marked and watch the label's probability fall; insert them the same way
and watch it rise. What is deleted is replaced by a blurred copy of the face, which leaves no edges
that the network never saw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageFilter

from mien.errors import ConfigError, InputError
from mien.explanation.activation import label_columns, resize_maps
from mien.explanation.methods import choose_method

if TYPE_CHECKING:
    from mien.arrays import F32, F64, I64, U8, Floats
    from mien.explanation.image import ReadImage
    from mien.recognizer import EmotionRecognizer


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """Curves of N faces over T + 1 shares of their area, from 0 to 1.

    Args:
        shares: float64 (T + 1,), how much of the face is deleted or inserted.
        deletion: float64 (N, T + 1), p(label) while the most marked places go first.
        insertion: float64 (N, T + 1), p(label) while the most marked places come first.
    """

    shares: F64
    deletion: F64
    insertion: F64

    @property
    def deletion_area(self) -> F64:
        """(N,) area under the deletion curve, 0..1; lower is better."""
        return _area(self.deletion, self.shares)

    @property
    def insertion_area(self) -> F64:
        """(N,) area under the insertion curve, 0..1; higher is better."""
        return _area(self.insertion, self.shares)

    @property
    def score(self) -> F64:
        """(N,) insertion minus deletion, -1..1; about 0 for a map drawn by chance."""
        return self.insertion_area - self.deletion_area

    def to_dict(self) -> dict[str, Any]:
        """Returns the means over the faces as plain JSON types."""
        return {
            "faces": len(self.deletion),
            "deletion": float(self.deletion_area.mean()),
            "insertion": float(self.insertion_area.mean()),
            "score": float(self.score.mean()),
        }


def _area(curve: F64, shares: F64) -> F64:
    return (curve[:, 1:] + curve[:, :-1]) / 2 @ np.diff(shares)


def blurred(crops: U8) -> U8:
    """Returns faces (N, S, S, C) without detail: a Gaussian blur of an eighth of the side."""
    out = np.empty_like(crops)
    for index, crop in enumerate(crops):
        flat = crop[..., 0] if crop.shape[2] == 1 else crop
        soft = Image.fromarray(flat).filter(ImageFilter.GaussianBlur(crop.shape[0] / 8))
        out[index] = np.asarray(soft).reshape(crop.shape)
    return out


def random_maps(faces: int, size: int, *, cells: int = 6, seed: int = 0) -> F32:
    """Returns maps drawn by chance, as smooth as class-activation maps: (N, size, size)."""
    return resize_maps(np.random.default_rng(seed).random((faces, cells, cells)), size)


def replace_marked(crops: U8, others: U8, maps: Floats, share: float) -> U8:
    """Replaces the most marked share of the pixels of faces (N, S, S, C) by those of ``others``.

    The maps are (N, S, S); of equally marked pixels the upper left one goes first.
    """
    N, S = len(crops), crops.shape[1]
    count = round(share * S * S)
    order = np.argsort(-maps.reshape(N, -1), axis=1, kind="stable")[:, :count]
    marked = np.zeros((N, S * S), bool)
    np.put_along_axis(marked, order, values=True, axis=1)
    return np.where(marked.reshape(N, S, S, 1), others, crops)


def faithfulness(
    recognizer: EmotionRecognizer, crops: U8, maps: Floats, columns: I64, *, steps: int = 16
) -> Faithfulness:
    """Scores maps by deletion and insertion.

    Args:
        recognizer: The model.
        crops: uint8 (N, S, S, C), N at least 1.
        maps: (N, S, S), what to score.
        columns: (N,), the label that each map explains, as its position in ``recognizer.labels``.
        steps: T, into how many equal parts the area is divided.

    Raises:
        InputError: If shapes do not fit each other.
        ConfigError: If ``steps`` is below 1.

    >>> from mien import EmotionRecognizer
    >>> faces = np.random.default_rng(0).integers(0, 255, (2, 48, 48, 1)).astype(np.uint8)
    >>> scored = faithfulness(EmotionRecognizer(), faces, random_maps(2, 48), np.array([0, 1]))
    >>> bool(np.allclose(scored.deletion[:, 0], scored.insertion[:, -1], atol=1e-5))
    True
    """
    if steps < 1:
        raise ConfigError(f"steps must be at least 1; got {steps}.")
    if not len(crops) or maps.shape != crops.shape[:3] or columns.shape != (len(crops),):
        raise InputError(
            f"expected a map and a label for each face of {crops.shape}; got maps {maps.shape} "
            f"and labels {columns.shape}."
        )
    soft, rows = blurred(crops), np.arange(len(crops))
    shares = np.linspace(0.0, 1.0, steps + 1)
    curves = np.empty((2, len(crops), steps + 1))
    for step, share in enumerate(shares):
        for kind, (start, end) in enumerate(((crops, soft), (soft, crops))):
            changed = replace_marked(start, end, maps, float(share))
            probs = recognizer.pipeline.probs(recognizer.pipeline.logits(changed))
            curves[kind, :, step] = probs[rows, columns]
    return Faithfulness(shares, curves[0], curves[1])


class MapScores:
    """Collects the faithfulness of the maps of photo after photo, next to maps drawn by chance."""

    def __init__(
        self, recognizer: EmotionRecognizer, *, label: str | None = None, method: str | None = None
    ) -> None:
        self._recognizer, self._label, self._method = recognizer, label, method
        self._found: dict[str, list[Faithfulness]] = {"maps": [], "chance": []}

    def add(self, read: ReadImage) -> None:
        """Scores the faces of one photo; one without faces adds nothing."""
        crops, recognizer = read.batch.crops, self._recognizer
        if not len(crops):
            return
        self._method = choose_method(recognizer, read.batch, self._method).name
        probs = recognizer.pipeline.probs(read.batch.logits)
        columns = label_columns(probs, self._label, recognizer.pipeline.schema)
        own = read.maps(recognizer, label=self._label, method=self._method)
        chance = random_maps(len(crops), crops.shape[1], seed=len(self._found["maps"]))
        for name, maps in (("maps", resize_maps(own, crops.shape[1])), ("chance", chance)):
            self._found[name].append(faithfulness(recognizer, crops, maps, columns))

    def to_dict(self) -> dict[str, Any]:
        """Returns the means over all faces; ``maps`` and ``chance`` are None without a face."""
        report: dict[str, Any] = {"method": self._method, "label": self._label}
        for name, found in self._found.items():
            curves = ([one.deletion for one in found], [one.insertion for one in found])
            joined = found and Faithfulness(found[0].shares, *map(np.concatenate, curves))
            report[name] = joined.to_dict() if joined else None
        return report
