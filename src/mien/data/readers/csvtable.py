"""CSV files as a header and rows, each row with its place in the file."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

#: Spellings of the columns that are no votes. Case and surrounding spaces do not matter.
COLUMNS = {
    "file_name": ("file_name", "filename", "file", "path", "image"),
    "label": ("label", "emotion", "class"),
    "split": ("split", "usage"),
    "subject_id": ("subject_id", "subject"),
}


@dataclass(frozen=True)
class CsvTable:
    """Rows of a CSV file; ``lines[i]`` is where row i ends in the file, counted from 1."""

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def find(self, role: str) -> int | None:
        """Returns the position of a column by any of its spellings, None if it is not there.

        Raises:
            DataError: If two columns have that role.
        """
        found = [at for at, name in enumerate(self.header) if name.casefold() in COLUMNS[role]]
        if len(found) > 1:
            names = ", ".join(self.header[at] for at in found)
            raise DataError(
                f"{names} all name the {role}; keep one of them", subject=f"{self.path}:"
            )
        return found[0] if found else None

    def column(self, at: int) -> list[str]:
        """Returns the cells of a column, without surrounding spaces."""
        return [row[at].strip() for row in self.rows]

    def where(self, row: int) -> str:
        """Returns the place of a row, for messages."""
        return f"{self.path}, row {self.lines[row]}"


def read_table(path: Path) -> CsvTable:
    """Reads a table of UTF-8 text with commas, semicolons or tabs; empty lines are passed over.

    Raises:
        DataError: If it is no such table, or a row has more or fewer cells than the header.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"is not UTF-8 ({error})", subject=path, hint="Save it as UTF-8 CSV."
        ) from error
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error})", subject=path) from error
    first = next((line for line in text.splitlines() if line.strip()), "")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    try:
        filled = [
            (reader.line_num, tuple(row)) for row in reader if any(cell.strip() for cell in row)
        ]
    except csv.Error as error:
        raise DataError(f"{path}, row {reader.line_num}: no CSV ({error}).") from error
    if len(filled) < 2:
        raise DataError(
            f"needs a header and at least one row; it has {len(filled)} line(s)", subject=path
        )
    header = tuple(name.strip() for name in filled[0][1])
    folded = [name.casefold() for name in header]
    twice = sorted({name for name in folded if name and folded.count(name) > 1})
    if twice:
        raise DataError(
            f"column(s) {', '.join(twice)} stand twice in the header", subject=f"{path}:"
        )
    for line, row in filled[1:]:
        if len(row) != len(header):
            raise DataError(
                f"{path}, row {line}: {len(row)} cells under {len(header)} columns",
                hint="Quote cells that hold the delimiter.",
            )
    lines, rows = zip(*filled[1:], strict=True)
    return CsvTable(path, header, rows, lines)
