"""The columns of results as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def csv_header(labels: Sequence[str]) -> list[str]:
    """Returns the columns of the CSV form; landmarks and timings are in the JSON only.

    >>> csv_header(["sad", "happy"])[-6:]
    ['p_happy', 'track_id', 'quality_flags', 'model', 'detector', 'error']
    """
    box = ["x1", "y1", "x2", "y2", "detection_score"]
    probs = [f"p_{label}" for label in labels]
    head = ["source", "width", "height", "face", *box, "emotion", "confidence"]
    return [*head, *probs, "track_id", "quality_flags", "model", "detector", "error"]
