"""Results as tables, and for Roboflow's ``supervision`` (extras ``pandas``, ``supervision``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mien.errors import import_extra

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from mien.results.records import ErrorResult, ImageResult

_WORDS = {"source", "emotion", "quality_flags", "model", "detector", "error"}


def csv_header(labels: Sequence[str]) -> list[str]:
    """Returns the columns of the CSV form; landmarks and timings are in the JSON only.

    >>> csv_header(["sad", "happy"])[-6:]
    ['p_happy', 'track_id', 'quality_flags', 'model', 'detector', 'error']
    """
    box = ["x1", "y1", "x2", "y2", "detection_score"]
    probs = [f"p_{label}" for label in labels]
    head = ["source", "width", "height", "face", *box, "emotion", "confidence"]
    return [*head, *probs, "track_id", "quality_flags", "model", "detector", "error"]


def to_frame(results: Iterable[ImageResult | ErrorResult]) -> pd.DataFrame:
    """Puts results into one table: a row per face, per picture without a face, and per error.

    Args:
        results: Of one recognizer, for example what ``predict_many`` yields.

    Returns:
        The columns of :func:`mien.results.csv_header`. Numbers are float64, with NaN where there
        is no face; texts are None there.

    Raises:
        ConfigError: If the faces' labels differ.
        MissingExtraError: If pandas is not installed.

    >>> from mien.results import ErrorResult
    >>> to_frame([ErrorResult("a.jpg", "is empty", "InputError")])["error"].tolist()
    ['is empty']
    """
    pandas = import_extra("pandas", "a pandas table", "pandas")
    kept = list(results)
    faces = [face for item in kept for face in getattr(item, "faces", ())]
    labels = tuple(faces[0].probs) if faces else ()
    rows = [row for item in kept for row in item.to_rows(labels)]
    columns = {
        name: pandas.Series([None if row[name] == "" else row[name] for row in rows], dtype=kind)
        for name in csv_header(labels)
        for kind in (["object"] if name in _WORDS else ["float64"])
    }
    for index, row in enumerate(rows):
        if row["face"] != "":
            columns["quality_flags"][index] = row["quality_flags"]
    table: pd.DataFrame = pandas.DataFrame(columns)
    return table


def to_supervision(result: ImageResult) -> Any:
    """Returns a result's N faces as ``supervision.Detections``; see ``ImageResult``'s method."""
    import numpy as np

    supervision = import_extra("supervision", "supervision.Detections", "supervision")
    faces = result.faces
    if not faces:
        return supervision.Detections.empty()
    numbers = [face.track_id for face in faces]
    return supervision.Detections(
        xyxy=np.array([face.box_xyxy for face in faces], np.float32),
        confidence=np.array([face.confidence for face in faces], np.float32),
        class_id=np.array([list(face.probs).index(face.emotion) for face in faces]),
        tracker_id=None if None in numbers else np.array(numbers),
        data={
            "class_name": np.array([face.emotion for face in faces]),
            "detection_score": np.array([face.detection_score for face in faces], np.float32),
            "uncertain": np.array([face.uncertain for face in faces]),
        },
    )
