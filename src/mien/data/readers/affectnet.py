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

from mien.data.naming import natural_key
from mien.data.readers.assemble import assemble, one_hot
from mien.data.registry import ReadRequest, register_reader
from mien.data.stores import FileImages
from mien.errors import ConfigError, DataError
from mien.labels import FER7, FERPLUS8

if TYPE_CHECKING:
    from pathlib import Path

    from mien.data.manifest import Manifest

_LABELS = (
    "neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt",
)  # fmt: skip
#: 8 none, 9 uncertain, 10 no face.
_NUMBERS = 11
_PATH, _EXPRESSION = "subDirectory_filePath", "expression"
#: The columns of lists that come without a header.
_COLUMNS = (
    _PATH, "face_x", "face_y", "face_width", "face_height", "facial_landmarks", _EXPRESSION,
    "valence", "arousal",
)  # fmt: skip
_LISTS = {"train": "training.csv", "valid": "validation.csv"}
_SETS = {"train": "train_set", "valid": "val_set"}

_Rows = list[tuple[str, int]]


@register_reader("affectnet", options=("classes", "dedupe"))
def read_affectnet(request: ReadRequest) -> Manifest:
    """Reads ``affectnet:DIR`` in either layout.

    Pictures marked ``None``, ``Uncertain`` or ``No-Face`` are left out.

    Options: ``classes=8``, or ``7`` without contempt; ``dedupe=true`` removes from train what also
    stands in valid.

    Raises:
        DataError: If neither layout is there, a list is not of its form, or pictures are missing.
        ConfigError: If an option is wrong, or other labels are asked for.
    """
    schema = FERPLUS8 if request.choice("classes", "8", "7") == "8" else FER7
    if request.labels is not None and request.labels != schema:
        raise ConfigError(
            f"has the labels of {schema.name!r}; classes=7 gives 'fer7'", subject=request.spec
        )
    root = request.path
    found = {split: _read_set(root, split) for split in _SETS}
    rows = [(split, name, label) for split, items in found.items() for name, label in items]
    if not rows:
        raise DataError(
            (
                f"holds neither {'/, '.join(_SETS.values())}/ with images/ and annotations/, "
                "nor Manually_Annotated_file_lists/ with training.csv"
            ),
            subject=root,
        )
    kept = [
        (split, name, schema.index(_LABELS[label]))
        for split, name, label in rows
        if label < len(_LABELS) and _LABELS[label] in schema
    ]
    if not kept:
        raise DataError(
            f"none of {len(rows)} pictures shows one of the emotions", subject=f"{request.spec}:"
        )
    missing = [name for _, name, _ in kept if not (root / name).is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(kept)} listed pictures are missing, as {missing[0]}",
            subject=f"{root}:",
        )
    left = len(rows) - len(kept)
    class_ids = np.array([label for _, _, label in kept], np.int64)
    return assemble(
        request,
        schema=schema,
        images=FileImages(root, [name for _, name, _ in kept]),
        targets=one_hot(class_ids, schema),
        class_ids=class_ids,
        splits=np.array([split for split, _, _ in kept]),
        groups=None,
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
    folder = root / name / "annotations"
    files = sorted(folder.glob("*_exp.npy"), key=lambda path: natural_key(path.name))
    for file in files:
        try:
            value = np.load(file, allow_pickle=False)
            number = int(value.item())
        except (ValueError, OSError, EOFError) as error:
            raise DataError(f"holds no number of an expression ({error})", subject=file) from error
        rows.append(
            (f"{name}/images/{file.name.removesuffix('_exp.npy')}.jpg", _known(number, file))
        )
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
                raise DataError(f"expected the columns {', '.join(_COLUMNS)}", subject=f"{where}:")
            text = cells[columns.index(_EXPRESSION)].strip()
            if not text.isdecimal():
                raise DataError(f"expression is a number, got {text!r}", subject=f"{where}:")
            name = cells[columns.index(_PATH)].strip()
            rows.append((f"{images}/{name}", _known(int(text), where)))
    return rows


def _known(number: int, where: object) -> int:
    if not 0 <= number < _NUMBERS:
        raise DataError(
            f"expressions are numbered 0 to {_NUMBERS - 1}, got {number}", subject=f"{where}:"
        )
    return number
