"""Results as a pandas table (extra ``pandas``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.errors import MissingExtraError
from mien.results.columns import csv_header

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from mien.results.records import ErrorResult, ImageResult

_WORDS = {"source", "emotion", "quality_flags", "model", "detector", "error"}


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
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("a pandas table", "pandas", error.name) from error
    kept = list(results)
    faces = [face for item in kept for face in getattr(item, "faces", ())]
    labels = tuple(faces[0].probs) if faces else ()
    rows = [row for item in kept for row in item.to_rows(labels)]
    columns = {
        name: pd.Series([None if row[name] == "" else row[name] for row in rows], dtype=kind)
        for name in csv_header(labels)
        for kind in (["object"] if name in _WORDS else ["float64"])
    }
    flags = columns["quality_flags"]
    for index, row in enumerate(rows):
        if row["face"] != "":
            flags[index] = row["quality_flags"]
    return pd.DataFrame(columns)
