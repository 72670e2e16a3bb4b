"""Faithfulness over the faces of many photos, next to maps drawn by chance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mien.explanation.activation import label_columns, resize_maps
from mien.explanation.faithfulness import Faithfulness, faithfulness, random_maps
from mien.explanation.methods import choose_method

if TYPE_CHECKING:
    from mien.explanation.image import ReadImage
    from mien.recognizer import EmotionRecognizer


class MapScores:
    """Collects the faithfulness of the maps of photo after photo.

    Args:
        recognizer: The model.
        label: The label explained; None: each face's top one.
        method: A name of ``mien.explanation.METHODS``; None: the first that fits the network.

    >>> from mien import EmotionRecognizer
    >>> from mien.explanation import read_image
    >>> recognizer = EmotionRecognizer(detector="none")
    >>> scores = MapScores(recognizer)
    >>> scores.add(read_image(recognizer, "src/mien/assets/sample/astronaut.jpg"))
    >>> scores.to_dict()["maps"]["faces"]
    1
    """

    def __init__(
        self,
        recognizer: EmotionRecognizer,
        *,
        label: str | None = None,
        method: str | None = None,
    ) -> None:
        self._recognizer, self._label, self._method = recognizer, label, method
        self._found: list[tuple[Faithfulness, Faithfulness]] = []

    def add(self, read: ReadImage) -> None:
        """Scores the faces of one photo; one without faces adds nothing.

        Raises:
            ConfigError, ModelError, MissingExtraError: See :func:`mien.explanation.explain_crops`.
        """
        crops = read.batch.crops
        if not len(crops):
            return
        recognizer = self._recognizer
        self._method = choose_method(recognizer, read.batch, self._method).name
        columns = label_columns(
            recognizer.pipeline.probs(read.batch.logits), self._label, recognizer.pipeline.schema
        )
        maps = resize_maps(
            read.maps(recognizer, label=self._label, method=self._method), crops.shape[1]
        )
        chance = random_maps(len(crops), crops.shape[1], seed=len(self._found))
        self._found.append(
            (
                faithfulness(recognizer, crops, maps, columns),
                faithfulness(recognizer, crops, chance, columns),
            )
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns the means over all faces; ``maps`` and ``chance`` are None without a face."""
        report: dict[str, Any] = {"method": self._method, "label": self._label}
        for kind, name in enumerate(("maps", "chance")):
            found = [pair[kind] for pair in self._found]
            joined = found and Faithfulness(
                found[0].shares,
                np.concatenate([one.deletion for one in found]),
                np.concatenate([one.insertion for one in found]),
            )
            report[name] = joined.to_dict() if joined else None
        return report
