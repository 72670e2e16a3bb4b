"""Datasets of the Hugging Face Hub (``hf:ORG/NAME``), through its library (extra ``datasets``)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.data.readers.parquetfile import join_parts, table_part
from mien.data.registry import ReadRequest, register_reader
from mien.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from mien.data.manifest import Manifest


@register_reader(
    "hf", options=("split", "config", "revision", "image", "label", "dedupe"), remote=True
)
def read_hf(request: ReadRequest) -> Manifest:
    """Reads ``hf:ORG/NAME``: a dataset of the Hub, or a local folder in one of its layouts.

    A local folder holds what ``save_to_disk`` wrote, or Parquet or picture files with a README.
    Columns are those of ``parquet:``.

    Options: ``split=`` takes one split only; ``config=`` and ``revision=`` name a subset and a
    branch, tag or commit; ``image=``, ``label=`` and ``dedupe=`` are those of ``parquet:``.

    Raises:
        DataError: If the dataset cannot be had, lacks a split or column, or does not add up.
        MissingExtraError: If ``datasets`` is not installed.
    """
    tables = _load(request)
    wanted = request.options.get("split")
    if wanted is not None and wanted not in tables:
        raise DataError(
            f"has no split {wanted!r}; it has {', '.join(tables)}", subject=request.spec
        )
    chosen = {wanted: tables[wanted]} if wanted is not None else tables
    parts = [_part(request, split, rows) for split, rows in chosen.items()]
    sizes = [len(part.labels) for part in parts]
    splits = [name for name, size in zip(chosen, sizes, strict=True) for _ in range(size)]
    return join_parts(request, parts, splits)


def _load(request: ReadRequest) -> dict[str, Any]:
    """Returns the splits by name."""
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("reading hf: datasets", "datasets", error.name) from error
    path, options = request.path, request.options
    saved = any((path / name).is_file() for name in ("dataset_dict.json", "state.json"))
    try:
        if saved:
            found = datasets.load_from_disk(str(path))
        else:
            found = datasets.load_dataset(
                path.as_posix(), options.get("config"), revision=options.get("revision")
            )
    except Exception as error:  # the errors of a dozen libraries below have no common base
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(
            f"cannot be read: {lines[0].rstrip('.')}",
            subject=request.spec,
            hint="Check the name and the network; a private one needs HF_TOKEN.",
        ) from error
    if hasattr(found, "column_names") and not isinstance(found, dict):
        return {str(found.split or "train"): found}
    return dict(found)


def _part(request: ReadRequest, split: str, rows: Any) -> Any:
    import datasets

    image = request.options.get("image", "image")
    label = request.options.get("label", "label")
    missing = {image, label} - set(rows.column_names)
    if missing:
        raise DataError(
            f"has no column {', '.join(sorted(missing))}; it has {', '.join(rows.column_names)}",
            subject=request.spec,
            hint="Name them with ,image=COLUMN,label=COLUMN.",
        )
    if isinstance(rows.features[image], datasets.Image):
        rows = rows.cast_column(image, datasets.Image(decode=False))
    names = getattr(rows.features[label], "names", None)
    table = rows.with_format("arrow")[:]
    # A column of the splits' names would stand against the splits that the dataset declares.
    table = table.select([name for name in table.column_names if name != "split"])
    file = request.path / split if request.path.is_dir() else Path(split)
    return table_part(request, table, names, file=file, name=split)
