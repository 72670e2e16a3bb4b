"""CSV files as a header and rows, each row with its line in the file."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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
                f"has several columns for the {role}: {names}", subject=self.path,
                hint="Keep one of them.",
            )  # fmt: skip
        return found[0] if found else None

    def need(self, *names: str) -> list[int]:
        """Returns the positions of columns by their names; case does not matter.

        Raises:
            DataError: If one is missing.
        """
        folded = [name.casefold() for name in self.header]
        missing = [name for name in names if name.casefold() not in folded]
        if missing:
            raise DataError(
                f"lacks the column(s) {', '.join(map(repr, missing))}; it has "
                f"{', '.join(self.header)}",
                subject=self.path,
            )
        return [folded.index(name.casefold()) for name in names]

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
        raise DataError(f"is no CSV ({error})", subject=f"{path}, row {reader.line_num}") from error
    if len(filled) < 2:
        raise DataError(
            f"needs a header and at least one row; it has {len(filled)} line(s)", subject=path
        )
    header = tuple(name.strip() for name in filled[0][1])
    folded = [name.casefold() for name in header]
    twice = sorted({name for name in folded if name and folded.count(name) > 1})
    if twice:
        raise DataError(f"has the column(s) {', '.join(twice)} twice", subject=path)
    for line, row in filled[1:]:
        if len(row) != len(header):
            raise DataError(
                f"has {len(row)} cells under {len(header)} columns",
                subject=f"{path}, row {line}",
                hint="Quote cells that hold the delimiter; fetch a file again that is cut short.",
            )
    lines, rows = zip(*filled[1:], strict=True)
    return CsvTable(path, header, rows, lines)


def read_subjects(root: Path) -> dict[str, str]:
    """Returns the subject of each file that ``metadata.csv`` names; empty without such a table.

    Args:
        root: Folder that holds the table; names in it are relative to the folder.

    Raises:
        DataError: If there is such a table and it is damaged.
    """
    if not (root / METADATA).is_file():
        return {}
    table = read_table(root / METADATA)
    pairs = zip(table.cells("file_name") or (), table.cells("subject_id") or (), strict=False)
    return {file: who for file, who in pairs if who}
