"""AffectNet in both layouts that are handed out (``affectnet:DIR``).

Mollahosseini, Hasani and Mahoor, 2017, arXiv:1708.03985. The full release has
``Manually_Annotated_file_lists/{training,validation}.csv`` and the faces in
``Manually_Annotated/Manually_Annotated_Images/689/....jpg``; the release for eight classes has
``{train_set,val_set}/images/0.jpg`` and ``.../annotations/0_exp.npy``.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np

from mien.data.filenames import natural_key
from mien.data.image_stores import FileImages
from mien.data.readers.assemble import assemble, check_files
from mien.data.registry import ReadRequest, register_reader
from mien.errors import DataError
from mien.labels import FER7, FERPLUS8

if TYPE_CHECKING:
    from pathlib import Path

    from mien.data.manifest import Manifest

#: The expressions by number; the last three are no emotions.
_EXPRESSIONS = (
    "neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt",
    "none", "uncertain", "no face",
)  # fmt: skip
_PATH, _EXPRESSION = "subDirectory_filePath", "expression"
#: The columns of lists that come without a header.
_COLUMNS = (
    _PATH, "face_x", "face_y", "face_width", "face_height", "facial_landmarks", _EXPRESSION,
    "valence", "arousal",
)  # fmt: skip
_LISTS = {"train": "training.csv", "valid": "validation.csv"}
_SETS = {"train": "train_set", "valid": "val_set"}

_Rows = list[tuple[str, str]]


@register_reader("affectnet", options=("classes", "dedupe"))
def read_affectnet(request: ReadRequest) -> Manifest:
    """Reads ``affectnet:DIR`` in either layout.

    Pictures marked ``None``, ``Uncertain`` or ``No-Face`` are left out.

    Options: ``classes=8``, or ``7`` without contempt; ``dedupe=true`` removes from train what is
    also in valid.

    Raises:
        DataError: If neither layout is there, a list is not of its form, or pictures are missing.
        ConfigError: If an option is wrong, or other labels are wanted.
    """
    schema = FERPLUS8 if request.choice("classes", "8", "7") == "8" else FER7
    request.expect(schema, "Leave the labels out; classes=7 gives 'fer7'.")
    root = request.path
    rows = [(split, *row) for split in _SETS for row in _read_set(root, split)]
    if not rows:
        raise DataError(
            f"holds neither {'/, '.join(_SETS.values())}/ with images/ and annotations/, "
            "nor Manually_Annotated_file_lists/ with training.csv",
            subject=root,
        )
    kept = [row for row in rows if row[2] in schema]
    if not kept:
        raise DataError(f"shows none of the emotions on {len(rows)} pictures", subject=request.spec)
    splits, names, labels = zip(*kept, strict=True)
    check_files(root, names)
    left = len(rows) - len(kept)
    return assemble(
        request,
        FileImages(root, names),
        labels,
        schema=schema,
        splits=splits,
        warnings=[f"{left} pictures without one of the emotions are left out."] if left else (),
    )


def _read_set(root: Path, split: str) -> _Rows:
    if (root / _SETS[split] / "annotations").is_dir():
        return _read_arrays(root, _SETS[split])
    for folder in (root / "Manually_Annotated_file_lists", root):
        listed = folder / _LISTS[split]
        if listed.is_file():
            return _read_list(root, listed)
    return []


def _read_arrays(root: Path, name: str) -> _Rows:
    rows = []
    files = (root / name / "annotations").glob("*_exp.npy")
    for file in sorted(files, key=lambda path: natural_key(path.name)):
        try:
            number = str(int(np.load(file, allow_pickle=False).item()))
        except (ValueError, OSError, EOFError) as error:
            raise DataError(f"holds no number of an expression ({error})", subject=file) from error
        picture = f"{name}/images/{file.name.removesuffix('_exp.npy')}.jpg"
        rows.append((picture, _expression(number, str(file))))
    return rows


def _read_list(root: Path, listed: Path) -> _Rows:
    images = "Manually_Annotated/Manually_Annotated_Images"
    if not (root / images).is_dir() and (root / "Manually_Annotated_Images").is_dir():
        images = "Manually_Annotated_Images"
    rows = []
    columns: tuple[str, ...] = _COLUMNS
    with listed.open(encoding="utf-8-sig", newline="") as file:
        for number, cells in enumerate(csv.reader(file), 1):
            if number == 1 and _PATH in cells:
                columns = tuple(cells)
                continue
            if not cells:
                continue
            where = f"{listed}, row {number}"
            if len(cells) != len(columns) or _EXPRESSION not in columns:
                raise DataError(f"does not have the columns {', '.join(_COLUMNS)}", subject=where)
            name = cells[columns.index(_PATH)].strip()
            label = _expression(cells[columns.index(_EXPRESSION)].strip(), where)
            rows.append((f"{images}/{name}", label))
    return rows


def _expression(number: str, where: str) -> str:
    if not number.isdecimal() or int(number) >= len(_EXPRESSIONS):
        raise DataError(
            f"has the expression {number!r}; it must be a number of 0 to {len(_EXPRESSIONS) - 1}",
            subject=where,
        )
    return _EXPRESSIONS[int(number)]
