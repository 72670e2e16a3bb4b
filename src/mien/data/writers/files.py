"""Writing a manifest as a folder by class, or as a CSV table."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mien.atomic import check_free, replacing, replacing_folder
from mien.data.filenames import FreeNames, check_folder_names, full_name, is_utf8, printable
from mien.data.readers.csvfile import METADATA
from mien.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mien.data.image_stores import ImageStore
    from mien.data.manifest import Manifest

__all__ = ["Advance", "has_votes", "table_text", "write_csv", "write_folder"]

Advance = Callable[[int], None]


def check_apart(target: Path, sources: Iterable[Path]) -> None:
    """Refuses to write over what is being read, even where overwriting is allowed."""
    whole = target.resolve()
    for source in sources:
        found = source.resolve()
        if found == whole or whole in found.parents:
            reason = "cannot be written, because the data is read from there"
            raise ConfigError(reason, subject=target, hint="Give another output.")


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
        ConfigError: If the output is taken.
        DataError: If a picture cannot be read, or a label cannot name a folder.
    """
    check_free(output, overwrite=overwrite)
    check_folder_names(manifest.schema.labels)
    part = manifest.with_labels()
    labels = np.array(part.schema.labels)[part.class_ids]
    folders = [f"{split}/{label}" for split, label in zip(part.splits, labels, strict=True)]
    with replacing_folder(output) as temporary:
        names = _copy(part, temporary, folders, progress)
        (temporary / METADATA).write_text(table_text(part, names), "utf-8")
    return len(manifest) - len(part)


def _copy(
    manifest: Manifest, root: Path, folders: Sequence[str], progress: Advance | None
) -> list[str]:
    """Writes each picture into its folder below ``root``; returns the names of the files."""
    free, names = FreeNames(), []
    for index, folder in enumerate(folders):
        data = manifest.images.read(index)
        name = free.take(folder, full_name(data, manifest.images.key(index)))
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
        names.append(name)
        if progress:
            progress(1)
    return names


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
        copy: Copy the pictures; else the table names the files as they are.
        overwrite: Replace what is there.
        progress: Called with the number of pictures just written.

    Raises:
        ConfigError: If the output is taken, or pictures are no files and shall not be copied.
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
        raise ConfigError(f"must end in .csv, as {output}.csv does", subject=f"the table {output}")
    check_free(pictures, overwrite=overwrite)
    # The table's text is on disk before either takes its name: both appear, or neither.
    with replacing(output) as temporary, replacing_folder(pictures) as folder:
        names = _copy(manifest, folder, manifest.splits.tolist(), progress)
        text = table_text(manifest, [f"{pictures.name}/{name}" for name in names])
        temporary.write_text(text, "utf-8")


def relative_names(images: ImageStore, folder: Path) -> list[str]:
    """Returns the path of each picture relative to a folder, with forward slashes."""
    names = []
    for index in range(len(images)):
        path = images.path(index)
        if path is None:
            reason = "is inside a table, so that a list of files cannot name it"
            hint = "Add --copy, or write Parquet."
            raise ConfigError(reason, subject=images.key(index), hint=hint)
        name = Path(os.path.relpath(path, folder)).as_posix()
        if name != name.strip() or not is_utf8(name):
            reason = "cannot stand in a table"
            raise DataError(reason, subject=repr(name), hint="Rename it, or add --copy.")
        names.append(name)
    return names


def has_votes(manifest: Manifest) -> bool:
    """Tells whether the targets hold more than the labels do."""
    one_hot = np.eye(len(manifest.schema), dtype=np.float32)[np.maximum(manifest.class_ids, 0)]
    return bool((manifest.class_ids < 0).any() or (manifest.targets != one_hot).any())


def table_text(manifest: Manifest, names: Sequence[str]) -> str:
    """Returns a CSV table of N pictures.

    Args:
        manifest: The pictures.
        names: (N,) what to write as ``file_name``.
    """
    labels = (*manifest.schema.labels, "")  # -1 is the last one
    columns = {
        "file_name": names,
        "label": [labels[k] for k in manifest.class_ids],
        "split": manifest.splits.tolist(),
    }
    if manifest.groups is not None:
        columns["subject_id"] = [printable(group) for group in manifest.groups.tolist()]
    if has_votes(manifest):
        for label, shares in zip(manifest.schema.labels, manifest.targets.T, strict=True):
            columns[label] = [f"{share:.9g}" for share in shares.tolist()]
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(columns)
    table.writerows(zip(*columns.values(), strict=True))
    return buffer.getvalue()
