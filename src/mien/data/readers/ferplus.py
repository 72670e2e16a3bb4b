"""FER2013's faces (``fer2013:PATH``), and with the votes of FER+ (``ferplus:DIR``).

FER2013: Goodfellow et al., 2013, arXiv:1307.0414. FER+ (Barsoum, Zhang, Canton Ferrer and Zhang,
2016, arXiv:1608.01041) asked ten raters per face for one of eight emotions, ``unknown`` or ``NF``
(no face). The rules here are those of the paper and of its published code
(github.com/microsoft/FERPlus, MIT), written anew on arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.image_stores import ImageStore, PixelImages
from mien.data.readers.arrowtables import arrow_images, picture_column, read_columns
from mien.data.readers.assemble import assemble, label_matrix
from mien.data.readers.csvfile import CsvTable, read_table
from mien.data.registry import ReadRequest, register_reader
from mien.data.split import SPLITS, split_name
from mien.errors import ConfigError, DataError
from mien.labels import FER7, FERPLUS8

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mien.arrays import F32, I64, U8, Bools, Ints
    from mien.data.manifest import Manifest

#: The ten columns of votes: the eight emotions of ``ferplus8``, then two that are none.
VOTE_COLUMNS = (*FERPLUS8.labels, "unknown", "NF")
_EMOTIONS = len(FERPLUS8)
#: The emotions by the numbers of FER2013, and the one that CK+ adds in this form.
_NUMBERED = (*FER7.labels, "contempt")
_CONTEMPT = 7


def drop_single_votes(votes: Ints) -> I64:
    """Returns the votes (N, 10) with every count of 1 set to 0."""
    return np.where(votes == 1, 0, votes).astype(np.int64)


def majority_class(votes: Ints) -> I64:
    """Returns the class that most raters agree on, (N,) ids of ``ferplus8`` or -1: FER+'s protocol.

    Single votes of the (N, 10) are dropped; the top count must then be more than half of what
    remains, and must be an emotion.

    >>> majority_class(np.array([[6, 3, 1, 0, 0, 0, 0, 0, 0, 0], [4, 4, 2, 0, 0, 0, 0, 0, 0, 0]]))
    array([ 0, -1])
    """
    left = drop_single_votes(votes)
    top = left.argmax(axis=1)
    agreed = 2 * left.max(axis=1) > left.sum(axis=1)
    return np.where(agreed & (top < _EMOTIONS), top, -1)


def crossentropy_votes(votes: Ints) -> I64:
    """Returns the votes (N, 8) that FER+'s cross-entropy mode trains on, zeros for faces left out.

    Single votes of the (N, 10) are dropped. The largest counts are taken, all of one size together,
    while less than 75 % of the votes are taken and fewer than three emotions; ``unknown`` or ``NF``
    among the largest ends it. A face is left out when that takes more than three emotions, or at
    most half of the votes. Of the 28,558 train faces 27,953 remain, all faces with a majority
    included.

    >>> crossentropy_votes(np.array([[5, 3, 1, 1, 0, 0, 0, 0, 0, 0]])).tolist()
    [[5, 3, 0, 0, 0, 0, 0, 0]]
    """
    left = drop_single_votes(votes)
    total = left.sum(axis=1)
    taken = np.zeros((len(left), _EMOTIONS), dtype=np.int64)
    running = total > 0
    for _ in range(3):
        top = left.max(axis=1)
        hit = (left == top[:, None]) & (running & (top > 0))[:, None]
        taken[hit[:, :_EMOTIONS]] = left[:, :_EMOTIONS][hit[:, :_EMOTIONS]]
        left[hit] = 0
        running &= ~hit[:, _EMOTIONS:].any(axis=1)
        running &= (4 * taken.sum(axis=1) < 3 * total) & ((taken > 0).sum(axis=1) < 3)
    kept = (2 * taken.sum(axis=1) > total) & ((taken > 0).sum(axis=1) <= 3)
    taken[~kept] = 0
    return taken


@register_reader("ferplus", options=("labels", "mode", "dedupe"))
def read_ferplus(request: ReadRequest) -> Manifest:
    """Reads ``ferplus:DIR``, a folder with ``train``, ``valid`` and ``test.parquet``.

    Options: ``labels=ferplus`` (votes, 8 emotions) or ``fer2013`` (7 one-hot labels, no face
    left out); ``mode=soft`` (train keeps the faces of a majority and those of the cross-entropy
    mode) or ``majority``.

    Valid and test keep all faces in both modes, with the share of all their votes as target:
    take ``with_labels()`` of them to score by the majority protocol. The few without any
    repeated vote for an emotion have their single votes as target, or equal shares.
    """
    fer2013 = request.choice("labels", "ferplus", "fer2013") == "fer2013"
    mode = request.choice("mode", "soft", "majority")
    if fer2013 and "mode" in request.options:
        reason = "has mode=, which chooses by votes, and labels=fer2013, which has none"
        raise ConfigError(reason, subject=request.spec, hint="Leave one of the two out.")
    schema = request.expect(
        FER7 if fer2013 else FERPLUS8, "Leave the labels out; labels=fer2013 gives 'fer7'."
    )
    tables = _read_tables(request.path, ["fer2013"] if fer2013 else list(VOTE_COLUMNS))
    splits = [split for split, table in tables.items() for _ in range(len(table))]
    files = {request.path / f"{split}.parquet": table for split, table in tables.items()}
    images = arrow_images([picture_column(file, table) for file, table in files.items()])
    if fer2013:
        labels = [name for table in tables.values() for name in table["fer2013"].to_pylist()]
        return assemble(request, images, labels, schema=schema, splits=splits)
    columns = [[table[name].to_numpy() for name in VOTE_COLUMNS] for table in tables.values()]
    votes = np.concatenate(columns, axis=1).T.astype(np.int64)
    return _from_votes(request, images, votes, splits, mode, whole="labels=fer2013")


def _read_tables(folder: Path, columns: list[str]) -> dict[str, Any]:
    tables = {}
    for split in SPLITS:
        path = folder / f"{split}.parquet"
        if not path.exists():
            continue
        table = read_columns(path, ["image", *columns])
        empty = [name for name in columns if table[name].null_count]
        if empty:
            reason = f"has rows without a value in {', '.join(empty)}"
            raise DataError(reason, subject=path, hint="Fill them.")
        if len(table):
            tables[split] = table
    if not tables:
        hint = "It needs train.parquet, valid.parquet or test.parquet, with rows."
        raise DataError("has no faces", subject=folder, hint=hint)
    return tables


def _from_votes(
    request: ReadRequest,
    images: ImageStore,
    votes: I64,
    splits: Sequence[str],
    mode: str,
    *,
    whole: str,
    named: Bools | bool = True,
) -> Manifest:
    """Makes a manifest of pictures that are ``named``; ``whole`` is what to type to have all."""
    class_ids, train = majority_class(votes), np.array(splits) == "train"
    targets, keep = vote_targets(votes, class_ids, train, mode)
    if request.label_map:
        names = [request.rename(name) for name in FERPLUS8.labels]
        targets = targets @ label_matrix(names, FERPLUS8)
    keep &= named
    if not keep.any():
        raise DataError("keeps no face with these votes; see mode=", subject=request.spec)
    labels = [FERPLUS8.labels[k] if k >= 0 else "" for k in class_ids.tolist()]
    left, warnings = np.flatnonzero(train & ~keep), []
    if len(left):
        more = f"mode=soft keeps more of them, {whole} all." if mode == "majority" else ""
        warnings.append(
            f"{len(left)} train faces, such as {images.key(int(left[0]))}, are left out: their "
            f"raters saw no face or do not agree. {more or f'{whole} keeps them.'}"
        )
    return assemble(
        request, images, labels, schema=FERPLUS8, targets=targets, splits=splits, keep=keep,
        columns=FERPLUS8.labels, warnings=warnings,
    )  # fmt: skip


def vote_targets(votes: I64, class_ids: I64, train: Bools, mode: str) -> tuple[F32, Bools]:
    """Returns (N, 8) shares of votes, and which faces to keep."""
    counts = drop_single_votes(votes)[:, :_EMOTIONS]
    keep = class_ids >= 0
    if mode == "soft":
        taken = crossentropy_votes(votes)
        chosen = train & taken.any(axis=1)
        counts[chosen] = taken[chosen]
        keep |= chosen
    keep |= ~train
    none = ~counts.any(axis=1)
    counts[none] = votes[none, :_EMOTIONS]
    counts[~counts.any(axis=1)] = 1
    shares = counts / counts.sum(axis=1, keepdims=True)
    return shares.astype(np.float32), keep


@register_reader("fer2013", options=("votes", "mode", "dedupe"))
def read_fer2013(request: ReadRequest) -> Manifest:
    """Reads ``fer2013:PATH``, the file with the columns ``emotion``, ``pixels`` and ``Usage``.

    ``icml_face_data.csv``, which has the same columns in another order, is read too, and so is CK+
    in this form (``ckextended.csv``), where emotion 7 is contempt: labels are then ``ferplus8``.
    Without a column ``Usage`` all is train.

    Options: ``votes=fer2013new.csv`` names the file of FER+ in the same folder, row by row the
    same faces: labels are then ``ferplus8``, and ``mode=soft`` or ``majority`` as with
    ``ferplus:``.
    """
    votes_file = request.options.get("votes")
    if "mode" in request.options and not votes_file:
        reason = "has mode=, which chooses by votes"
        raise ConfigError(reason, subject=request.spec, hint="Also add votes=fer2013new.csv.")
    mode = request.choice("mode", "soft", "majority")
    table = read_table(request.path)
    ids, pixels = _faces(table)
    has_contempt = not votes_file and _CONTEMPT in ids
    schema = request.expect(
        FERPLUS8 if votes_file or has_contempt else FER7,
        "Leave the labels out; votes=FILE and CK+'s emotion 7 give 'ferplus8'.",
    )
    usage = table.cells("split") or ["train"] * len(ids)
    splits = [split_name(name, table.where(row)) for row, name in enumerate(usage)]
    keys = [f"{request.path.name}#fer{row:07}.png" for row in range(len(ids))]
    images, labels = PixelImages(keys, pixels), [_NUMBERED[k] for k in ids]
    if not votes_file:
        remark = "emotion 7 is read as contempt, which CK+ has in this form." * has_contempt
        return assemble(request, images, labels, schema=schema, splits=splits, warnings=[remark])
    votes, named = _read_votes(request.path.parent / votes_file, splits)
    whole = "a spec without votes="
    return _from_votes(request, images, votes, splits, mode, whole=whole, named=named)


def _faces(table: CsvTable) -> tuple[list[int], U8]:
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
            reason = f"must have whole numbers for emotion and pixels ({error})"
            raise DataError(reason, subject=table.where(at)) from error
        low, high = values.min(initial=0), values.max(initial=0)
        if values.size != side * side or low < 0 or high > 255:
            given = f"it has {values.size} of {low} to {high}"
            reason = f"needs {side * side} pixels of 0 to 255; {given}"
            raise DataError(reason, subject=table.where(at))
        if not 0 <= ids[at] <= _CONTEMPT:
            reason = f"has the emotion {ids[at]}; it must be 0..6, or in CK+ 7"
            raise DataError(reason, subject=table.where(at))
        faces[at] = values.reshape(side, side)
    return ids, faces


def _read_votes(path: Path, splits: list[str]) -> tuple[I64, Bools]:
    """Returns (N, 10) votes, and which rows have a name: FER+ names no picture without a face."""
    if not path.is_file():
        hint = "votes= names FER+'s fer2013new.csv next to the faces."
        raise DataError(f"there is no {path}", hint=hint)
    table = read_table(path)
    usage, name, *columns = table.need("Usage", "Image name", *VOTE_COLUMNS)
    if len(table.rows) != len(splits):
        reason = f"has {len(table.rows)} rows, but there are {len(splits)} faces"
        hint = "FER+ goes with the original fer2013.csv, row by row."
        raise DataError(reason, subject=path, hint=hint)
    for row, given in enumerate(table.column(usage)):
        if split_name(given, table.where(row)) != splits[row]:
            reason = f"has the Usage {given!r}, but the face is in {splits[row]}"
            hint = "Give the two files in the same order."
            raise DataError(reason, subject=table.where(row), hint=hint)
    try:
        votes = np.array([[int(row[at]) for at in columns] for row in table.rows], np.int64)
    except ValueError as error:
        raise DataError(f"must have whole numbers of votes ({error})", subject=path) from error
    return votes, np.array([bool(text) for text in table.column(name)])
