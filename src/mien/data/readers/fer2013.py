"""FER2013 as Kaggle publishes it, with FER+ votes on demand (``fer2013:fer2013.csv``).

FER2013: Goodfellow et al., 2013, arXiv:1307.0414. FER+: Barsoum et al., 2016, arXiv:1608.01041.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import numpy as np

from mien.data.readers.assemble import assemble, one_hot, split_name
from mien.data.readers.ferplus import VOTE_COLUMNS, majority_class, vote_targets
from mien.data.readers.pixels import PixelImages
from mien.data.registry import ReadRequest, register_reader
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

    Options: ``votes=fer2013new.csv`` names the file of FER+ beside it, row by row the same faces:
    labels are then ``ferplus8``, and ``mode=soft`` or ``majority`` as with ``ferplus:``;
    ``dedupe=true`` removes from train what also stands in valid or test.

    Raises:
        DataError: If a file is not of this form, or the two do not fit.
        ConfigError: If an option is wrong, or other labels are asked for.
    """
    votes_file = request.options.get("votes")
    schema = FERPLUS8 if votes_file else FER7
    if request.labels is not None and request.labels != schema:
        raise ConfigError(
            f"has the labels of {schema.name!r}, but {request.labels.name!r} is asked for",
            subject=request.spec,
            hint="Leave the labels out; votes=FILE gives 'ferplus8'.",
        )
    if "mode" in request.options and not votes_file:
        raise ConfigError(
            "mode= chooses by votes; add votes=fer2013new.csv", subject=f"{request.spec}:"
        )
    mode = request.choice("mode", "soft", "majority")
    ids, pixels, splits = _read_faces(request.path)
    keys = [f"{request.path.name}#fer{row:07}.png" for row in range(len(ids))]
    if not votes_file:
        return assemble(
            request, schema=schema, images=PixelImages(keys, pixels),
            targets=one_hot(ids, schema), class_ids=ids, splits=splits, groups=None,
        )  # fmt: skip
    votes, named = _read_votes(request.path.parent / votes_file, splits)
    class_ids = majority_class(votes)
    targets, keep = vote_targets(votes, class_ids, splits == "train", mode)
    # FER+ leaves the name empty where the picture shows no face.
    keep &= named
    at = np.flatnonzero(keep)
    if not len(at):
        raise DataError("no face is left after the votes; see mode=", subject=f"{request.spec}:")
    return assemble(
        request,
        schema=schema,
        images=PixelImages([keys[i] for i in at], pixels[at]),
        targets=targets[at],
        class_ids=class_ids[at],
        splits=splits[at],
        groups=None,
    )


def _read_rows(path: Path) -> tuple[dict[str, int], list[list[str]]]:
    try:
        text = path.read_text("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text)) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"cannot be read as CSV ({error})", subject=path, hint="Fetch it again."
        ) from error
    if len(rows) < 2:
        raise DataError(
            f"needs a header and at least one row; it has {len(rows)} line(s)", subject=path
        )
    header = {name.strip().casefold(): at for at, name in enumerate(rows[0])}
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(rows[0]):
            raise DataError(
                f"{path}, row {number}: {len(row)} cells under {len(rows[0])} columns",
                hint="The file may be cut short: fetch it again.",
            )
    return header, rows[1:]


def _need(path: Path, header: dict[str, int], *names: str) -> list[int]:
    missing = [name for name in names if name.casefold() not in header]
    if missing:
        raise DataError(
            f"lacks the column(s) {', '.join(missing)}; it has {[*header]}", subject=path
        )
    return [header[name.casefold()] for name in names]


def _read_faces(path: Path) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.str_]]:
    """Returns (N,) class ids, (N, S, S) pixels and (N,) splits."""
    header, rows = _read_rows(path)
    emotion, pixels = _need(path, header, "emotion", "pixels")
    usage = header.get("usage")
    side = round(len(rows[0][pixels].split()) ** 0.5)
    faces = np.empty((len(rows), side, side), np.uint8)
    ids = np.empty(len(rows), np.int64)
    for at, row in enumerate(rows):
        where = f"{path}, row {at + 2}"
        try:
            values = np.fromiter(map(int, row[pixels].split()), np.int64)
            ids[at] = int(row[emotion])
        except ValueError as error:
            raise DataError(
                f"emotion and pixels are whole numbers ({error})", subject=f"{where}:"
            ) from error
        if values.size != side * side or values.min(initial=0) < 0 or values.max(initial=0) > 255:
            raise DataError(
                (
                    f"expected {side * side} pixels of 0 to 255, got {values.size} of "
                    f"{values.min(initial=0)} to {values.max(initial=0)}"
                ),
                subject=f"{where}:",
            )
        if not 0 <= ids[at] < len(_LABELS):
            raise DataError(
                f"emotion must lie in 0..{len(_LABELS) - 1}, got {ids[at]}", subject=f"{where}:"
            )
        faces[at] = values.reshape(side, side)
    splits = [
        "train" if usage is None else split_name(row[usage], f"{path}, row {at + 2}")
        for at, row in enumerate(rows)
    ]
    return ids, faces, np.array(splits)


def _read_votes(
    path: Path, splits: NDArray[np.str_]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Returns (N, 10) votes, and which rows FER+ has a picture name for."""
    if not path.is_file():
        raise DataError(f"there is no {path}: votes= names FER+'s fer2013new.csv beside the faces.")
    header, rows = _read_rows(path)
    usage, name, *columns = _need(path, header, "Usage", "Image name", *VOTE_COLUMNS)
    if len(rows) != len(splits):
        raise DataError(
            (
                f"has {len(rows)} rows and the faces have {len(splits)}: FER+ goes with the "
                "original fer2013.csv, row by row"
            ),
            subject=path,
        )
    theirs = np.array(
        [split_name(row[usage], f"{path}, row {i + 2}") for i, row in enumerate(rows)]
    )
    if (theirs != splits).any():
        row = int(np.argmax(theirs != splits))
        raise DataError(
            (f"{path}, row {row + 2}: Usage is {theirs[row]}, but the face is of {splits[row]}"),
            hint="The two files are not in the same order.",
        )
    try:
        votes = np.array([[int(row[at]) for at in columns] for row in rows], np.int64)
    except ValueError as error:
        raise DataError(f"votes are whole numbers ({error})", subject=f"{path}:") from error
    return votes, np.array([bool(row[name].strip()) for row in rows])
