"""The table beside class folders that keeps what folders cannot say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.data.readers.csvtable import read_table

if TYPE_CHECKING:
    from pathlib import Path

#: Its name; Hugging Face's imagefolder reads the same one.
METADATA = "metadata.csv"


def read_subjects(root: Path) -> dict[str, str]:
    """Returns the subject of each file that ``metadata.csv`` names; empty without such a table.

    Args:
        root: Folder that holds the table; names in it are relative to the folder.

    Raises:
        DataError: If there is such a table and it is damaged.
    """
    path = root / METADATA
    if not path.is_file():
        return {}
    table = read_table(path)
    name, subject = table.find("file_name"), table.find("subject_id")
    if name is None or subject is None:
        return {}
    pairs = zip(table.column(name), table.column(subject), strict=True)
    return {file: who for file, who in pairs if who}
