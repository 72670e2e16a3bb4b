"""Labels that somebody looked at and set right: a small CSV beside the recipe.

Columns ``scenes,name,x,y,kind``: the region of that picture in which the point lies becomes a
``face``, is left out (``ignore``), or is ``background`` after all.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import TYPE_CHECKING

from mien.errors import DataError
from mien.train.finder.labels import BACKGROUND, FACE, IGNORE, Labels

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_KINDS = {"face": FACE, "ignore": IGNORE, "background": BACKGROUND}


def correct(labels: Labels, path: Path, scenes: str) -> tuple[Labels, Labels]:
    """Applies the corrections of one set of scenes.

    Returns:
        The labels set right, and the regions that are background after all: what teachers take
        for faces, and is none.

    Raises:
        DataError: If the file cannot be read, or a row fits no labelled region.
    """
    kind = labels.kind.copy()
    where = {name: index for index, name in enumerate(labels.names)}
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row["scenes"] == scenes]
        for row in rows:
            if row["name"] not in where:
                continue  # another selection of the same scenes
            regions = labels.of(where[row["name"]])
            boxes = labels.boxes[regions]
            x, y = float(row["x"]), float(row["y"])
            inside = (boxes[:, 0] <= x) & (x <= boxes[:, 2]) & (boxes[:, 1] <= y)
            inside &= y <= boxes[:, 3]
            if not inside.any():
                raise DataError(f"{path}: no labelled region of {row['name']} at {x:g}, {y:g}.")
            kind[regions[inside]] = _KINDS[row["kind"]]
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"corrections {path} cannot be used: {error!r}.") from error
    labels = replace(labels, kind=kind)
    return _part(labels, kind != BACKGROUND), _part(labels, kind == BACKGROUND)


def _part(labels: Labels, wanted: NDArray[np.bool_]) -> Labels:
    return replace(
        labels, picture=labels.picture[wanted], boxes=labels.boxes[wanted],
        points=labels.points[wanted], scores=labels.scores[wanted], kind=labels.kind[wanted],
    )  # fmt: skip
