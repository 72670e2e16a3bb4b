"""Writing a manifest as a folder by class, a CSV table, or Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mien.atomic import replacing
from mien.data.readers.filepaths import relative_names
from mien.data.readers.metadata import METADATA
from mien.data.writers.places import (
    FreeNames,
    check_folder_names,
    check_free,
    picture_suffix,
    plain_name,
    replacing_folder,
)
from mien.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mien.data.manifest import Manifest

Advance = Callable[[int], None]


def write_folder(
    manifest: Manifest, output: Path, *, overwrite: bool = False, progress: Advance | None = None
) -> int:
    """Writes ``{split}/{label}/*`` and ``metadata.csv`` with groups and vote shares.

    Pictures are copied byte by byte. Those without a majority label have no folder and are left
    out.

    Args:
        manifest: N pictures.
        output: A folder that does not exist yet.
        overwrite: Replace what is there.
        progress: Called with the number of pictures just written.

    Returns:
        How many pictures were left out.

    Raises:
        ConfigError: If the place is taken.
        DataError: If a picture cannot be read, or a label cannot name a folder.
    """
    check_free(output, overwrite=overwrite)
    check_folder_names(manifest.schema.labels)
    part = manifest.with_labels()
    free = FreeNames()
    with replacing_folder(output) as temporary:
        names = []
        for index in range(len(part)):
            label = part.schema.labels[int(part.class_ids[index])]
            names.append(_copy(part, index, temporary, f"{part.splits[index]}/{label}", free))
            if progress:
                progress(1)
        (temporary / METADATA).write_text(table_text(part, names), "utf-8")
    return len(manifest) - len(part)


def _copy(manifest: Manifest, index: int, root: Path, folder: str, free: FreeNames) -> str:
    data = manifest.images.read(index)
    name = plain_name(manifest.images.key(index))
    name = free.take(folder, name + picture_suffix(data, name))
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(data)
    return name


def write_csv(
    manifest: Manifest,
    output: Path,
    *,
    copy: bool,
    overwrite: bool = False,
    progress: Advance | None = None,
) -> None:
    """Writes ``file_name,label,split,subject_id``, and shares of votes where there are any.

    Args:
        manifest: N pictures.
        output: The table; with ``copy``, pictures go into a folder of its name without ``.csv``.
        copy: Copy the pictures; else the table names them where they lie.
        overwrite: Replace what is there.
        progress: Called with the number of pictures just written.

    Raises:
        ConfigError: If the place is taken, or pictures are no files and are not to be copied.
        DataError: If a picture cannot be read or named.
    """
    check_free(output, overwrite=overwrite)
    if not copy:
        names = relative_names(manifest.images, output.parent)
        with replacing(output) as temporary:
            temporary.write_text(table_text(manifest, names), "utf-8")
        return
    pictures = output.with_suffix("")
    if pictures == output:
        raise ConfigError(f"the table needs an ending, as in {output}.csv", subject=f"{output}:")
    check_free(pictures, overwrite=overwrite)
    free = FreeNames()
    # The table's text is on disk before either takes its name: both appear, or neither.
    with replacing(output) as temporary, replacing_folder(pictures) as folder:
        names = []
        for index in range(len(manifest)):
            name = _copy(manifest, index, folder, str(manifest.splits[index]), free)
            names.append(f"{pictures.name}/{name}")
            if progress:
                progress(1)
        temporary.write_text(table_text(manifest, names), "utf-8")


def has_votes(manifest: Manifest) -> bool:
    """Tells whether targets say more than the labels do."""
    one_hot = np.eye(len(manifest.schema), dtype=np.float32)[np.maximum(manifest.class_ids, 0)]
    return bool((manifest.class_ids < 0).any() or (manifest.targets != one_hot).any())


def table_text(manifest: Manifest, names: Sequence[str]) -> str:
    """Returns a CSV table of N pictures.

    Args:
        manifest: The pictures.
        names: (N,) what to write as ``file_name``.
    """
    votes = has_votes(manifest)
    header = ["file_name", "label", "split"]
    header += ["subject_id"] if manifest.groups is not None else []
    header += manifest.schema.labels if votes else []
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(header)
    for index, name in enumerate(names):
        k = int(manifest.class_ids[index])
        row = [name, manifest.schema.labels[k] if k >= 0 else "", str(manifest.splits[index])]
        if manifest.groups is not None:
            row.append(_clean(str(manifest.groups[index])))
        if votes:
            row += [f"{value:.9g}" for value in manifest.targets[index].tolist()]
        table.writerow(row)
    return buffer.getvalue()


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
