"""Tables of file names and labels or votes (``csv:PATH``)."""

from __future__ import annotations

import csv
import io
import math
import operator
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from mien.data.filenames import source_stem
from mien.data.image_stores import FileImages
from mien.data.readers.assemble import KNOWN_SCHEMAS, assemble, check_files, with_slashes
from mien.data.registry import ReadRequest, register_reader
from mien.errors import DataError
from mien.labels import fold_label

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from mien.arrays import F64
    from mien.data.manifest import Manifest
    from mien.labels import LabelSchema

#: Spellings of the columns that are no votes. Case and surrounding spaces do not matter.
COLUMNS = {
    "file_name": ("file_name", "filename", "file", "path", "image"),
    "label": ("label", "emotion", "class"),
    "split": ("split", "usage"),
    "subject_id": ("subject_id", "subject"),
}
#: The table next to class folders that tells what folders cannot; Hugging Face's imagefolder
#: reads the same name.
METADATA = "metadata.csv"
_WIDE = threading.Lock()


@dataclass(frozen=True)
class CsvTable:
    """Rows of a CSV file; ``lines[i]`` is where row i ends in the file, counted from 1."""

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def find(self, role: str) -> int | None:
        """Returns the position of a column by any of its spellings, None if it is not there."""
        found = [at for at, name in enumerate(self.header) if name.casefold() in COLUMNS[role]]
        if len(found) > 1:
            reason = f"has several columns for the {role}: {self.named(found)}"
            raise DataError(reason, subject=self.path, hint="Keep one of them.")
        return found[0] if found else None

    def need(self, *names: str) -> list[int]:
        """Returns the positions of columns by their names; case does not matter."""
        folded = [name.casefold() for name in self.header]
        missing = [name for name in names if name.casefold() not in folded]
        if missing:
            listed = f"{', '.join(map(repr, missing))}; it has {', '.join(self.header)}"
            raise DataError(f"lacks the column(s) {listed}", subject=self.path)
        return [folded.index(name.casefold()) for name in names]

    def named(self, columns: Iterable[int]) -> str:
        """Returns the names of columns, for messages."""
        return ", ".join(self.header[at] for at in columns)

    def column(self, at: int) -> list[str]:
        """Returns the cells of a column, without surrounding spaces."""
        return [row[at].strip() for row in self.rows]

    def cells(self, role: str) -> list[str] | None:
        """Returns the cells of the column with a role, None if it is not there."""
        at = self.find(role)
        return None if at is None else self.column(at)

    def select(self, rows: Sequence[int]) -> CsvTable:
        """Returns some of the rows."""
        kept = tuple(self.rows[row] for row in rows)
        return CsvTable(self.path, self.header, kept, tuple(self.lines[row] for row in rows))

    def where(self, row: int) -> str:
        """Returns the file and the line of a row, for messages."""
        return f"{self.path}, row {self.lines[row]}"


def read_text(path: Path) -> str:
    """Returns the text of a table in any encoding, or says what the file is instead."""
    from mien.images.guard import guess_content
    from mien.images.lists import decode_text, is_text

    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error})", subject=path) from error
    if not is_text(data[:512]):
        kind = guess_content(data[:512], failed=False)
        typed = {"Parquet": f"parquet:{path}", "tar ": f"tar -xf {path}"}
        hint = next((f"Type {text}." for word, text in typed.items() if word in kind), "")
        raise DataError(f"is no CSV, whatever its name says: it {kind}", subject=path, hint=hint)
    return decode_text(data)


@contextmanager
def _wide_cells() -> Iterator[None]:
    """Lets cells be of any length: a picture of 224x224 pixels as text has 200,000 letters."""
    with _WIDE:  # the limit is one of the process
        limit = csv.field_size_limit(2**31 - 1)
        try:
            yield
        finally:
            csv.field_size_limit(limit)


def read_rows(path: Path) -> list[tuple[int, tuple[str, ...]]]:
    """Returns the rows of a CSV that are not empty, each with the line that it ends in."""
    text = read_text(path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    if told := re.match(r"sep=(.)\s", text):  # Excel's own line
        delimiter, text = told[1], text[5:]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        with _wide_cells():
            return [(reader.line_num, tuple(row)) for row in reader if any(map(str.strip, row))]
    except csv.Error as error:
        raise DataError(f"is no CSV ({error})", subject=f"{path}, row {reader.line_num}") from error


def read_table(path: Path) -> CsvTable:
    """Reads a table of text in any encoding, with commas, semicolons or tabs.

    Empty lines are passed over.
    """
    filled = read_rows(path)
    if len(filled) < 2:
        reason = f"needs a header and at least one row; it has {len(filled)} line(s)"
        raise DataError(reason, subject=path)
    header = tuple(name.strip() for name in filled[0][1])
    folded = [name.casefold() for name in header]
    twice = sorted({name for name in folded if name and folded.count(name) > 1})
    if twice:
        raise DataError(f"has the column(s) {', '.join(twice)} twice", subject=path)
    for line, row in filled[1:]:
        if len(row) != len(header):
            reason = f"has {len(row)} cells under {len(header)} columns"
            hint = "Quote cells that hold the delimiter; fetch a file again that is cut short."
            raise DataError(reason, subject=f"{path}, row {line}", hint=hint)
    lines, rows = zip(*filled[1:], strict=True)
    return CsvTable(path, header, rows, lines)


def read_subjects(root: Path) -> dict[str, str]:
    """Returns the subject of each file that a ``metadata.csv`` in ``root`` names."""
    if not (root / METADATA).is_file():
        return {}
    table = read_table(root / METADATA)
    pairs = zip(table.cells("file_name") or (), table.cells("subject_id") or (), strict=False)
    return {with_slashes(root, file): who for file, who in pairs if who}


@register_reader("csv", options=("dedupe",))
def read_csv(request: ReadRequest) -> Manifest:
    """Reads ``csv:PATH``: ``file_name,label[,split][,subject_id]``, or columns of votes.

    File names are relative to the table's folder. Without a label column, columns that are named
    after labels hold votes (numbers of 0 or more): targets are their shares, and the label is the
    one with more than half of them. With both, and a column for every label of a schema, targets
    are the shares and an empty label means that there is no majority. In any encoding, with
    commas, semicolons or tabs.
    """
    table = read_table(request.path)
    schema, targets, warnings, columns = request.labels, None, [""], table.header
    if request.label_map:
        table = replace(table, header=tuple(map(request.rename, columns)))
    if table.find("label") is None or (schema := _schema_of_votes(table, request.labels)):
        table, schema, targets = _shares(table, schema, warnings, merge=bool(request.label_map))
    labels = table.cells("label")
    if labels is None:
        assert targets is not None and schema is not None  # noqa: S101, PT018 - _shares gave both
        labels = [schema.labels[row.argmax()] if row.max() > 0.5 else "" for row in targets]
        used = {fold_label(name) for name in columns}
        left = {old: new for old, new in request.label_map.items() if old not in used}
        request = replace(request, label_map=left)  # the others are done
    names = _file_names(table, warnings)
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
        columns=columns if targets is not None else (),
        where=table.where,
        warnings=warnings,
    )


def _schema_of_votes(table: CsvTable, wanted: LabelSchema | None) -> LabelSchema | None:
    """Returns the schema of which every label has a column, None if there is none."""
    known = (wanted,) if wanted else reversed(KNOWN_SCHEMAS)
    return next((s for s in known if set(s.labels) <= set(table.header)), None)


def _shares(
    table: CsvTable, wanted: LabelSchema | None, warnings: list[str], *, merge: bool
) -> tuple[CsvTable, LabelSchema, F64]:
    """Returns the rows with votes, their schema and the (N, K) shares of the votes.

    With ``merge``, votes of several columns for one label are added up.
    """
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
    if len({k for _, k in columns}) < len(columns) and not merge:
        reason = f"has two columns for one label among {table.named(at for at, _ in columns)}"
        raise DataError(reason, subject=table.path, hint="Keep one of them.")
    votes = np.zeros((len(table.rows), len(schema)))
    for at, k in columns:
        for row, cell in enumerate(table.column(at)):
            votes[row, k] += _number(cell, f"{table.where(row)}, column {table.header[at]}")
    totals = votes.sum(axis=1, keepdims=True)
    rows = np.flatnonzero(totals > 0)
    if not len(rows):
        raise DataError("has no row with a vote for any label", subject=table.path)
    if left := len(votes) - len(rows):
        warnings.append(f"{left} rows without a vote for any label are left out.")
    if others := [at for at in free if table.header[at] not in schema]:
        names = table.named(others)
        warnings.append(f"columns that are no labels of {schema.name!r} are not read: {names}.")
    return table.select(rows.tolist()), schema, votes[rows] / totals[rows]


def _number(cell: str, where: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise DataError(f"holds {cell!r}; votes must be numbers of 0 or more", subject=where)
    return value


def _file_names(table: CsvTable, warnings: list[str]) -> list[str]:
    names, root = table.cells("file_name"), table.path.parent
    if names is None:
        is_fer = {"emotion", "pixels"} <= {name.casefold() for name in table.header}
        hint = f"Its pictures are pixels, as in FER2013: type fer2013:{table.path}"
        reason = f"has no column 'file_name'; it has {', '.join(table.header)}"
        raise DataError(reason, subject=table.path, hint=hint if is_fer else "")
    found = [with_slashes(root, name) for name in names]
    if turned := sum(map(operator.ne, names, found)):
        warnings.append(f"{turned} names are written with \\ and read with /.")
    check_files(root, found, f"Names are relative to {root}.", listed=table.path)
    return found
