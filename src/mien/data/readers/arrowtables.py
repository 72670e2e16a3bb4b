"""Parquet tables with a column of pictures, in the layout that Hugging Face's Image uses."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mien.data.image_stores import ArrowImages
from mien.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def read_schema(path: Path) -> Any:
    """Returns the ``pyarrow.Schema`` of a Parquet file.

    Raises:
        DataError: If the file is gone or no Parquet.
        MissingExtraError: If pyarrow is not installed.
    """
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise MissingExtraError("reading Parquet", "eval", "pyarrow") from error
    try:
        return parquet.read_schema(path)
    except (ArrowException, OSError) as error:
        raise DataError(f"is no Parquet file that can be read: {error}", subject=path) from error


def read_columns(path: Path, columns: Sequence[str]) -> Any:
    """Returns a ``pyarrow.Table`` with some of the columns.

    Raises:
        DataError: If the file cannot be read, or lacks a column.
        MissingExtraError: If pyarrow is not installed.
    """
    have = read_schema(path).names
    missing = [name for name in columns if name not in have]
    if missing:
        raise DataError(
            f"lacks the column(s) {', '.join(missing)}; it has {', '.join(have)}", subject=path
        )
    from pyarrow import ArrowException, parquet

    try:
        # Not read_table, which takes train/ and valid=1/ in the path for columns.
        with parquet.ParquetFile(path) as file:
            return file.read(columns=list(columns))
    except (ArrowException, OSError) as error:
        raise DataError(f"cannot be read: {error}", subject=path, hint="Fetch it again.") from error


def class_names(schema: Any, column: str) -> list[str] | None:
    """Returns the names of Hugging Face's ClassLabel for a column, or None.

    Args:
        schema: ``pyarrow.Schema`` with or without the ``huggingface`` metadata.
        column: Name of the column of class ids.

    Raises:
        DataError: If the metadata is there and broken.
    """
    text = (schema.metadata or {}).get(b"huggingface")
    if text is None:
        return None
    try:
        feature = json.loads(text)["info"]["features"].get(column) or {}
        names = feature.get("names")
        return None if names is None else [str(name) for name in names]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"is not the JSON that datasets writes ({error!r})",
            subject="the 'huggingface' metadata of a table",
        ) from error


@dataclass(frozen=True, eq=False)
class PictureColumn:
    """The pictures of one table: M keys, binary chunks, and files by row where bytes are null."""

    keys: list[str]
    chunks: list[Any]
    paths: dict[int, Path]

    def take(self, rows: Sequence[int]) -> PictureColumn:
        """Returns some of the rows; this copies their bytes."""
        import pyarrow as pa

        chunks = pa.chunked_array(self.chunks).take(pa.array(rows, pa.int64())).chunks
        paths = {at: self.paths[row] for at, row in enumerate(rows) if row in self.paths}
        return PictureColumn([self.keys[row] for row in rows], chunks, paths)


def picture_column(
    path: Path, table: Any, *, column: str = "image", name: str | None = None
) -> PictureColumn:
    """Takes a column of pictures: a struct of ``bytes`` and ``path``, or binary values.

    Args:
        path: File of the table; paths in it are relative to its folder.
        table: ``pyarrow.Table`` of M rows.
        column: Name of the column.
        name: What keys begin with; None for the file's name.

    Raises:
        DataError: If the column is of another type.
    """
    import pyarrow as pa
    from pyarrow import compute, types

    values = table[column]
    prefix = path.name if name is None else name
    if types.is_binary(values.type) or types.is_large_binary(values.type):
        return PictureColumn([f"{prefix}#{row}" for row in range(len(values))], values.chunks, {})
    fields = (
        {values.type.field(index).name for index in range(values.type.num_fields)}
        if types.is_struct(values.type)
        else set()
    )
    if not {"bytes", "path"} & fields:
        raise DataError(
            f"must hold binary values or structs of bytes and path, not {values.type}",
            subject=f"column {column!r} of {path}",
        )
    nothing = pa.chunked_array([pa.nulls(len(values), pa.binary())])
    encoded = compute.struct_field(values, "bytes") if "bytes" in fields else nothing
    names = (
        compute.struct_field(values, "path").to_pylist()
        if "path" in fields
        else [None] * len(values)
    )
    lost = compute.is_null(encoded).to_numpy().nonzero()[0].tolist() if encoded.null_count else []
    return PictureColumn(
        [f"{prefix}#{row if name is None else name}" for row, name in enumerate(names)],
        encoded.chunks,
        {row: path.parent / names[row] for row in lost if names[row] is not None},
    )


def arrow_images(parts: Sequence[PictureColumn]) -> ArrowImages:
    """Puts the pictures of several tables one after another; no bytes are copied."""
    import pyarrow as pa

    keys: list[str] = []
    paths: dict[int, Path] = {}
    for part in parts:
        paths |= {len(keys) + row: path for row, path in part.paths.items()}
        keys += part.keys
    chunks = [chunk for part in parts for chunk in part.chunks]
    if len({chunk.type for chunk in chunks}) > 1:
        chunks = [chunk.cast(pa.large_binary()) for chunk in chunks]
    return ArrowImages(keys, pa.chunked_array(chunks, type=None if chunks else pa.binary()), paths)
