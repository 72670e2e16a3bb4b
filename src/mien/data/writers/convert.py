"""From any dataset to a folder, a CSV table or Parquet (``mien data convert``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.atomic import check_free
from mien.data.image_stores import are_files, source_folders
from mien.data.registry import open_for_inspection
from mien.data.writers.files import check_apart, write_csv, write_folder
from mien.errors import ConfigError, suggest

if TYPE_CHECKING:
    from pathlib import Path

    from mien.data.inspection.run import Bars
    from mien.data.manifest import Manifest
    from mien.labels import LabelSchema

__all__ = ["FORMS", "convert_data"]

FORMS = ("folder", "csv", "parquet")


def convert_data(
    spec: str,
    output: Path,
    to: str,
    *,
    copy: bool = False,
    labels: str | LabelSchema | None = None,
    overwrite: bool = False,
    bars: Bars,
) -> tuple[Manifest, int]:
    """Writes a dataset in another form; splits, groups and pictures stay as they are.

    Copies across splits are kept too: readers take them out of train when the data is used.

    Args:
        spec: The dataset.
        output: Where to; it appears whole or not at all.
        to: ``"folder"``, ``"csv"`` or ``"parquet"``.
        copy: With ``csv``, copy pictures that the table could name as files.
        labels: Name of a label schema, or a schema, to read it with; None: the data's own.
        overwrite: Replace what is there.
        bars: Makes a progress bar of a title and a number of steps.

    Returns:
        The data, and how many pictures the form cannot hold.

    Raises:
        ConfigError: If an argument is impossible or the output is taken.
        DataError: If the dataset cannot be read.
        MissingExtraError: If pyarrow is needed and not installed.
    """
    if to not in FORMS:
        raise ConfigError(f"there is no form {to!r} to convert to", hint=suggest(to, FORMS))
    if to != "folder" and output.suffix.lower() != f".{to}":
        raise ConfigError(f"must end in .{to}", subject=f"-o {output}")
    check_free(output, overwrite=overwrite)
    manifest, request = open_for_inspection(spec, labels=labels)
    copy = copy or not are_files(manifest.images)
    for target in [output, output.with_suffix("")] if to == "csv" and copy else [output]:
        check_apart(target, [request.path, *source_folders(manifest.images)])
    with bars("write pictures", len(manifest)) as advance:
        if to == "folder":
            return manifest, write_folder(manifest, output, overwrite=overwrite, progress=advance)
        if to == "csv":
            write_csv(manifest, output, copy=copy, overwrite=overwrite, progress=advance)
        else:
            from mien.data.writers.parquet import write_parquet

            write_parquet(manifest, output, overwrite=overwrite, progress=advance)
    return manifest, 0


def write_manifest(manifest: Manifest, output: Path, *, copy: bool, overwrite: bool) -> None:
    """Writes a manifest as a table, ``.csv`` or ``.parquet``, that names its pictures or has them.

    ``copy`` copies them even where the table could name them as files.
    """
    check_manifest_name(output)
    if copy:
        check_apart(output.with_suffix(""), source_folders(manifest.images))
    if output.suffix.lower() == ".csv":
        write_csv(manifest, output, copy=copy, overwrite=overwrite)
        return
    from mien.data.writers.parquet import write_parquet

    # Pictures inside a table have no path: their bytes go along.
    embed = copy or not are_files(manifest.images)
    write_parquet(manifest, output, embed=embed, overwrite=overwrite)


def check_manifest_name(output: Path) -> None:
    """Refuses names that end in neither ``.csv`` nor ``.parquet``."""
    if output.suffix.lower() not in {".csv", ".parquet"}:
        raise ConfigError("must end in .csv or .parquet", subject=f"-o {output}")
