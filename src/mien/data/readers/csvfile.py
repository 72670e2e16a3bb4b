"""Tables of file names and labels or votes (``csv:PATH``)."""

from __future__ import annotations

import math
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from mien.data.duplicates import shared_groups_warning
from mien.data.naming import source_stem
from mien.data.readers.assemble import assemble, choose_schema, class_id, one_hot, split_name
from mien.data.readers.csvtable import COLUMNS, CsvTable, read_table
from mien.data.registry import ReadRequest, register_reader
from mien.data.stores import FileImages
from mien.errors import DataError
from mien.labels import FER7, FERPLUS8, HES3, LabelSchema

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.data.manifest import Manifest


@register_reader("csv", options=("dedupe",))
def read_csv(request: ReadRequest) -> Manifest:
    """Reads ``csv:PATH``: ``file_name,label[,split][,subject_id]``, or columns of votes.

    File names are relative to the table's folder. Without a label column, columns that are named
    after labels hold votes (numbers of 0 or more): targets are their shares, and the label is the
    one with more than half of them. With both, and a column for every label of a schema, targets
    are the shares and an empty label means that there is no majority. UTF-8, with commas,
    semicolons or tabs.

    Options: ``dedupe=true`` removes from train what also stands in valid or test.

    Raises:
        DataError: If the table cannot be read, files are missing, or a cell does not fit.
    """
    table = read_table(request.path)
    warnings: list[str] = []
    label_at = table.find("label")
    if label_at is None:
        schema, votes = _votes(table, request.labels)
        table, votes = _without_empty(table, votes, warnings)
        targets = votes / votes.sum(axis=1, keepdims=True)
        class_ids = np.where(targets.max(axis=1) > 0.5, targets.argmax(axis=1), -1)
    elif (whole := _whole_votes(table, request.labels)) is not None:
        schema, votes = _votes(table, whole)
        table, votes = _without_empty(table, votes, warnings)
        targets = votes / votes.sum(axis=1, keepdims=True)
        cells = table.column(label_at)
        class_ids = np.array(
            [class_id(schema, c, table.where(row)) if c else -1 for row, c in enumerate(cells)]
        )
    else:
        labels = table.column(label_at)
        schema = request.labels or choose_schema(set(labels) - {""}, str(request.path))
        ids = [class_id(schema, label, table.where(row)) for row, label in enumerate(labels)]
        class_ids = np.array(ids, dtype=np.int64)
        targets = one_hot(class_ids, schema)
    names = _file_names(table)
    splits, groups = _splits(table), _subjects(table)
    if splits is not None and groups is not None:
        warnings.append(shared_groups_warning(groups, splits))
    if groups is None:
        # With the folder: ann/1.jpg and bob/1.jpg are two pictures.
        groups = np.array([f"{PurePosixPath(n).parent}/{source_stem(n)[0]}" for n in names])
    return assemble(
        request,
        schema=schema,
        images=FileImages(request.path.parent, names),
        targets=targets.astype(np.float32),
        class_ids=class_ids,
        splits=splits,
        groups=groups,
        warnings=warnings,
    )


def _whole_votes(table: CsvTable, wanted: LabelSchema | None) -> LabelSchema | None:
    """Returns the schema of which every label has a column, beside a column of labels."""
    known = (wanted,) if wanted else (FERPLUS8, FER7, HES3)
    return next((s for s in known if set(s.labels) <= set(table.header)), None)


def _votes(table: CsvTable, wanted: LabelSchema | None) -> tuple[LabelSchema, NDArray[np.float64]]:
    """Returns the schema and (N, K) votes of a table without a label column."""
    reserved = {spelling for spellings in COLUMNS.values() for spelling in spellings}
    free = [at for at, name in enumerate(table.header) if name.casefold() not in reserved]
    # max keeps the first of equals: the smallest schema.
    schema = wanted or max(
        (HES3, FER7, FERPLUS8), key=lambda s: sum(table.header[at] in s for at in free)
    )
    columns = [(at, schema.index(name)) for at in free if (name := table.header[at]) in schema]
    if len(columns) < 2:
        raise DataError(
            (
                "has no label column, and fewer than two columns of votes; it has "
                f"{', '.join(table.header)}"
            ),
            subject=table.path,
            hint=(
                "Name a column 'label', or name columns after the labels "
                f"({', '.join(schema.labels)})."
            ),
        )
    if len({k for _, k in columns}) < len(columns):
        names = ", ".join(table.header[at] for at, _ in columns)
        raise DataError(
            f"two columns of {names} are one label; keep one of them", subject=f"{table.path}:"
        )
    votes = np.zeros((len(table.rows), len(schema)))
    for at, k in columns:
        for row, cell in enumerate(table.column(at)):
            votes[row, k] = _number(cell, f"{table.where(row)}, column {table.header[at]}")
    return schema, votes


def _number(cell: str, where: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise DataError(f"votes are numbers of 0 or more, got {cell!r}", subject=f"{where}:")
    return value


def _without_empty(
    table: CsvTable, votes: NDArray[np.float64], warnings: list[str]
) -> tuple[CsvTable, NDArray[np.float64]]:
    rows = np.flatnonzero(votes.sum(axis=1) > 0).tolist()
    if not rows:
        raise DataError("no row has a vote for any label", subject=f"{table.path}:")
    if len(rows) < len(votes):
        warnings.append(f"{len(votes) - len(rows)} rows without a vote for any label are left out.")
    kept = tuple(table.rows[row] for row in rows)
    lines = tuple(table.lines[row] for row in rows)
    return CsvTable(table.path, table.header, kept, lines), votes[rows]


def _file_names(table: CsvTable) -> list[str]:
    at = table.find("file_name")
    if at is None:
        raise DataError(
            f"has no column 'file_name'; it has {', '.join(table.header)}", subject=table.path
        )
    names = table.column(at)
    missing = [name for name in names if not (table.path.parent / name).is_file()]
    if missing:
        raise DataError(
            (
                f"{len(missing)} of {len(names)} files are missing, as "
                f"{', '.join((repr(name) for name in missing[:3]))}"
            ),
            subject=f"{table.path}:",
            hint=f"Names are relative to {table.path.parent}.",
        )
    return names


def _splits(table: CsvTable) -> NDArray[np.str_] | None:
    at = table.find("split")
    if at is None:
        return None
    return np.array([split_name(s, table.where(row)) for row, s in enumerate(table.column(at))])


def _subjects(table: CsvTable) -> NDArray[np.str_] | None:
    at = table.find("subject_id")
    if at is None:
        return None
    subjects = table.column(at)
    if "" in subjects:
        raise DataError(
            "the subject is empty; name one", subject=f"{table.where(subjects.index(''))}:"
        )
    return np.array(subjects)
