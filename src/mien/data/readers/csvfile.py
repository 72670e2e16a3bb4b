"""Tables of file names and labels or votes (``csv:PATH``)."""

from __future__ import annotations

import math
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from mien.data.filenames import source_stem
from mien.data.image_stores import FileImages
from mien.data.readers.assemble import KNOWN_SCHEMAS, assemble, check_files
from mien.data.readers.csvtable import COLUMNS, CsvTable, read_table
from mien.data.registry import ReadRequest, register_reader
from mien.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.data.manifest import Manifest
    from mien.labels import LabelSchema


@register_reader("csv", options=("dedupe",))
def read_csv(request: ReadRequest) -> Manifest:
    """Reads ``csv:PATH``: ``file_name,label[,split][,subject_id]``, or columns of votes.

    File names are relative to the table's folder. Without a label column, columns that are named
    after labels hold votes (numbers of 0 or more): targets are their shares, and the label is the
    one with more than half of them. With both, and a column for every label of a schema, targets
    are the shares and an empty label means that there is no majority. UTF-8, with commas,
    semicolons or tabs.

    Options: ``dedupe=true`` removes from train what is also in valid or test.

    Raises:
        DataError: If the table cannot be read, files are missing, or a cell does not fit.
    """
    table = read_table(request.path)
    schema, targets, warnings = request.labels, None, [""]
    if table.find("label") is None or (schema := _schema_of_votes(table, request.labels)):
        table, schema, targets = _shares(table, schema, warnings)
    labels = table.cells("label")
    if labels is None:
        assert targets is not None and schema is not None  # noqa: S101, PT018 - _shares gave both
        labels = _majority(targets, schema)
    names = _file_names(table)
    groups = subjects = table.cells("subject_id")
    if subjects is None:
        # With the folder: ann/1.jpg and bob/1.jpg are two pictures.
        groups = [f"{PurePosixPath(name).parent}/{source_stem(name)[0]}" for name in names]
    elif "" in subjects:
        raise DataError("has an empty subject", subject=table.where(subjects.index("")))
    return assemble(
        request,
        FileImages(request.path.parent, names),
        labels,
        schema=schema,
        targets=targets,
        splits=table.cells("split"),
        groups=groups,
        told=subjects is not None,
        where=table.where,
        warnings=warnings,
    )


def _schema_of_votes(table: CsvTable, wanted: LabelSchema | None) -> LabelSchema | None:
    """Returns the schema of which every label has a column, None if there is none."""
    known = (wanted,) if wanted else reversed(KNOWN_SCHEMAS)
    return next((s for s in known if set(s.labels) <= set(table.header)), None)


def _shares(
    table: CsvTable, wanted: LabelSchema | None, warnings: list[str]
) -> tuple[CsvTable, LabelSchema, NDArray[np.float64]]:
    """Returns the rows with votes, their schema and the (N, K) shares of the votes."""
    reserved = {spelling for spellings in COLUMNS.values() for spelling in spellings}
    free = [at for at, name in enumerate(table.header) if name.casefold() not in reserved]
    # max keeps the first of equals: the smallest schema.
    schema = wanted or max(
        KNOWN_SCHEMAS, key=lambda known: sum(table.header[at] in known for at in free)
    )
    columns = [(at, schema.index(name)) for at in free if (name := table.header[at]) in schema]
    if len(columns) < 2:
        raise DataError(
            "has no label column, and fewer than two columns of votes; it has "
            f"{', '.join(table.header)}",
            subject=table.path,
            hint="Name a column 'label', or name columns after the labels "
            f"({', '.join(schema.labels)}).",
        )
    if len({k for _, k in columns}) < len(columns):
        names = ", ".join(table.header[at] for at, _ in columns)
        raise DataError(
            f"has two columns for one label among {names}", subject=table.path,
            hint="Keep one of them.",
        )  # fmt: skip
    votes = np.zeros((len(table.rows), len(schema)))
    for at, k in columns:
        for row, cell in enumerate(table.column(at)):
            votes[row, k] = _number(cell, f"{table.where(row)}, column {table.header[at]}")
    totals = votes.sum(axis=1, keepdims=True)
    rows = np.flatnonzero(totals > 0)
    if not len(rows):
        raise DataError("has no row with a vote for any label", subject=table.path)
    if len(rows) < len(votes):
        left = len(votes) - len(rows)
        warnings.append(f"{left} rows without a vote for any label are left out.")
    return table.select(rows.tolist()), schema, votes[rows] / totals[rows]


def _majority(shares: NDArray[np.float64], schema: LabelSchema) -> list[str]:
    return [schema.labels[row.argmax()] if row.max() > 0.5 else "" for row in shares]


def _number(cell: str, where: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise DataError(f"holds {cell!r}; votes must be numbers of 0 or more", subject=where)
    return value


def _file_names(table: CsvTable) -> list[str]:
    names = table.cells("file_name")
    if names is None:
        raise DataError(
            f"has no column 'file_name'; it has {', '.join(table.header)}", subject=table.path
        )
    root = table.path.parent
    check_files(root, names, f"Names are relative to {root}.", listed=table.path)
    return names
