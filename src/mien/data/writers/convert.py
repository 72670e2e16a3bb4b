"""From any dataset to a folder, a CSV table or Parquet (``mien data convert``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.data.inspection.source import open_for_inspection
from mien.data.readers.filepaths import are_files, source_folders
from mien.data.writers.files import write_csv, write_folder
from mien.data.writers.places import check_apart, check_free
from mien.errors import ConfigError, suggest

if TYPE_CHECKING:
    from pathlib import Path

    from mien.data.inspection.run import Bars
    from mien.data.manifest import Manifest
    from mien.labels import LabelSchema

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
        copy: With ``csv``, copy pictures that the table could name where they lie.
        labels: Name of a label schema, or a schema, to read it with; None: the data's own.
        overwrite: Replace what is there.
        bars: Makes a progress bar of a title and a number of steps.

    Returns:
        The data, and how many pictures the form has no place for.

    Raises:
        ConfigError: If an argument is impossible or the place is taken.
        DataError: If the dataset cannot be read.
        MissingExtraError: If pyarrow is needed and not installed.
    """
    if to not in FORMS:
        raise ConfigError(f"cannot convert to {to!r}." + suggest(to, FORMS))
    endings = {"csv": ".csv", "parquet": ".parquet"}
    if to in endings and output.suffix.lower() != endings[to]:
        raise ConfigError(f"-o {output}: name it with the ending {endings[to]}.")
    check_free(output, overwrite=overwrite)
    manifest, request = open_for_inspection(spec, labels=labels)
    files = are_files(manifest.images)
    targets = [output, output.with_suffix("")] if to == "csv" and (copy or not files) else [output]
    for target in targets:
        check_apart(target, [request.path, *source_folders(manifest.images)])
    left_out = 0
    with bars("write pictures", len(manifest)) as advance:
        if to == "folder":
            left_out = write_folder(manifest, output, overwrite=overwrite, progress=advance)
        elif to == "csv":
            write_csv(
                manifest, output, copy=copy or not files, overwrite=overwrite, progress=advance
            )
        else:
            from mien.data.writers.parquet import write_parquet

            write_parquet(manifest, output, overwrite=overwrite, progress=advance)
    return manifest, left_out
