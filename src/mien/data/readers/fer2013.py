"""FER2013 as Kaggle publishes it, with FER+ votes on demand (``fer2013:fer2013.csv``).

FER2013: Goodfellow et al., 2013, arXiv:1307.0414. FER+: Barsoum et al., 2016, arXiv:1608.01041.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.data.image_stores import PixelImages
from mien.data.readers.assemble import assemble
from mien.data.readers.csvtable import CsvTable, read_table
from mien.data.readers.ferplus import VOTE_COLUMNS, class_names, majority_class, vote_targets
from mien.data.registry import ReadRequest, register_reader
from mien.data.split import split_name
from mien.errors import ConfigError, DataError
from mien.labels import FER7, FERPLUS8

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mien.data.manifest import Manifest

#: The file's class ids: angry, disgust, fear, happy, sad, surprise, neutral.
_LABELS = FER7.labels


@register_reader("fer2013", options=("votes", "mode", "dedupe"))
def read_fer2013(request: ReadRequest) -> Manifest:
    """Reads ``fer2013:PATH``, the file with the columns ``emotion``, ``pixels`` and ``Usage``.

    ``icml_face_data.csv``, which has the same columns in another order, is read too. Without a
    column ``Usage`` all is train.

    Options: ``votes=fer2013new.csv`` names the file of FER+ in the same folder, row by row the
    same faces: labels are then ``ferplus8``, and ``mode=soft`` or ``majority`` as with
    ``ferplus:``; ``dedupe=true`` removes from train what is also in valid or test.

    Raises:
        DataError: If a file is not of this form, or the two do not fit.
        ConfigError: If an option is wrong, or other labels are wanted.
    """
    votes_file = request.options.get("votes")
    schema = request.expect(
        FERPLUS8 if votes_file else FER7, "Leave the labels out; votes=FILE gives 'ferplus8'."
    )
    if "mode" in request.options and not votes_file:
        raise ConfigError(
            "has mode=, which chooses by votes",
            subject=request.spec,
            hint="Also add votes=fer2013new.csv.",
        )
    mode = request.choice("mode", "soft", "majority")
    table = read_table(request.path)
    ids, pixels = _faces(table)
    usage = table.cells("split")
    splits = [
        split_name(n, table.where(row)) for row, n in enumerate(usage or ["train"] * len(ids))
    ]
    keys = [f"{request.path.name}#fer{row:07}.png" for row in range(len(ids))]
    images, labels = PixelImages(keys, pixels), [_LABELS[k] for k in ids]
    if not votes_file:
        return assemble(request, images, labels, schema=schema, splits=splits)
    votes, named = _read_votes(request.path.parent / votes_file, splits)
    class_ids = majority_class(votes)
    targets, keep = vote_targets(votes, class_ids, np.array(splits) == "train", mode)
    # FER+ leaves the name empty where the picture shows no face.
    keep &= named
    if not keep.any():
        raise DataError("keeps no face with these votes; see mode=", subject=request.spec)
    return assemble(
        request, images, class_names(class_ids), schema=schema, targets=targets, splits=splits,
        keep=keep,
    )  # fmt: skip


def _faces(table: CsvTable) -> tuple[list[int], NDArray[np.uint8]]:
    """Returns N class ids and (N, S, S) pixels."""
    emotion, pixels = table.need("emotion", "pixels")
    side = round(len(table.rows[0][pixels].split()) ** 0.5)
    faces = np.empty((len(table.rows), side, side), np.uint8)
    ids = []
    for at, row in enumerate(table.rows):
        try:
            values = np.fromiter(map(int, row[pixels].split()), np.int64)
            ids.append(int(row[emotion]))
        except ValueError as error:
            raise DataError(
                f"must have whole numbers for emotion and pixels ({error})", subject=table.where(at)
            ) from error
        if values.size != side * side or values.min(initial=0) < 0 or values.max(initial=0) > 255:
            raise DataError(
                f"needs {side * side} pixels of 0 to 255; it has {values.size} of "
                f"{values.min(initial=0)} to {values.max(initial=0)}",
                subject=table.where(at),
            )
        if not 0 <= ids[at] < len(_LABELS):
            raise DataError(
                f"has the emotion {ids[at]}; it must be 0..{len(_LABELS) - 1}",
                subject=table.where(at),
            )
        faces[at] = values.reshape(side, side)
    return ids, faces


def _read_votes(path: Path, splits: list[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Returns (N, 10) votes, and which rows FER+ has a picture name for."""
    if not path.is_file():
        raise DataError(
            f"there is no {path}", hint="votes= names FER+'s fer2013new.csv next to the faces."
        )
    table = read_table(path)
    usage, name, *columns = table.need("Usage", "Image name", *VOTE_COLUMNS)
    if len(table.rows) != len(splits):
        raise DataError(
            f"has {len(table.rows)} rows, but there are {len(splits)} faces",
            subject=path,
            hint="FER+ goes with the original fer2013.csv, row by row.",
        )
    for row, given in enumerate(table.column(usage)):
        if split_name(given, table.where(row)) != splits[row]:
            raise DataError(
                f"has the Usage {given!r}, but the face is in {splits[row]}",
                subject=table.where(row),
                hint="Give the two files in the same order.",
            )
    try:
        votes = np.array([[int(row[at]) for at in columns] for row in table.rows], np.int64)
    except ValueError as error:
        raise DataError(f"must have whole numbers of votes ({error})", subject=path) from error
    return votes, np.array([bool(text) for text in table.column(name)])
