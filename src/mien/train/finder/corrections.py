"""Labels that somebody looked at and set right: a small CSV beside the recipe.

Columns ``scenes,name,x,y,kind``: the region of that picture in which the point lies becomes a
``face``, is left out (``ignore``), or is ``background`` after all.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mien.errors import DataError
from mien.train.finder.labels import BACKGROUND, FACE, IGNORE, Labels

if TYPE_CHECKING:
    from pathlib import Path

_KINDS = {"face": FACE, "ignore": IGNORE, "background": BACKGROUND}


def correct(labels: Labels, path: Path, scenes: str) -> Labels:
    """Applies the corrections of one set of scenes.

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
    told = np.flatnonzero(kind != BACKGROUND)
    return replace(
        labels, picture=labels.picture[told], boxes=labels.boxes[told],
        points=labels.points[told], scores=labels.scores[told], kind=kind[told],
    )  # fmt: skip
