"""Parquet tables of pictures, labels and votes, in the layout that Hugging Face uses."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.image_stores import ArrowImages
from mien.data.readers.assemble import label_matrix
from mien.errors import DataError, needs_extra
from mien.labels import unknown_label

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mien.arrays import F64
    from mien.data.registry import ReadRequest
    from mien.labels import LabelSchema

#: Column of shares of votes, in the order of the labels that the table names.
VOTES = "votes"


def read_schema(path: Path) -> Any:
    """Returns the ``pyarrow.Schema`` of a Parquet file."""
    with needs_extra("reading Parquet", "eval"):
        from pyarrow import ArrowException, parquet
    try:
        return parquet.read_schema(path)
    except (ArrowException, OSError) as error:
        from mien.images.guard import guess_file

        kind = guess_file(path)
        hint = f"A table of text is read as csv:{path}." if kind == "is text" else ""
        why = error if "Parquet" in kind else f"it {kind} ({error})"
        reason = f"is no Parquet file that can be read: {why}"
        raise DataError(reason, subject=path, hint=hint) from error


def read_columns(path: Path, columns: Sequence[str]) -> Any:
    """Returns a ``pyarrow.Table`` with some of the columns."""
    have = read_schema(path).names
    missing = [name for name in columns if name not in have]
    if missing:
        listed = f"{', '.join(missing)}; it has {', '.join(have)}"
        raise DataError(f"lacks the column(s) {listed}", subject=path)
    from pyarrow import ArrowException, parquet

    try:
        # Not read_table, which takes train/ and valid=1/ in the path for columns.
        with parquet.ParquetFile(path) as file:
            return file.read(columns=list(columns))
    except (ArrowException, OSError) as error:
        raise DataError(f"cannot be read: {error}", subject=path, hint="Fetch it again.") from error


def class_names(schema: Any, column: str) -> list[str] | None:
    """Returns the names of Hugging Face's ClassLabel for a column of a schema, or None."""
    text = (schema.metadata or {}).get(b"huggingface")
    if text is None:
        return None
    try:
        feature = json.loads(text)["info"]["features"].get(column) or {}
        names = feature.get("names")
        return None if names is None else [str(name) for name in names]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"is not the JSON that datasets writes ({error!r})"
        raise DataError(reason, subject="the 'huggingface' metadata of a table") from error


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

    Paths are relative to the folder of the table's file; keys begin with ``name`` or the file's.
    """
    import pyarrow as pa
    from pyarrow import compute, types

    values, prefix = table[column], path.name if name is None else name
    if types.is_binary(values.type) or types.is_large_binary(values.type):
        return PictureColumn([f"{prefix}#{row}" for row in range(len(values))], values.chunks, {})
    fields = {field.name for field in values.type} if types.is_struct(values.type) else set()
    if not {"bytes", "path"} & fields:
        reason = f"must hold binary values or structs of bytes and path, not {values.type}"
        raise DataError(reason, subject=f"column {column!r} of {path}")
    nothing = pa.chunked_array([pa.nulls(len(values), pa.binary())])
    encoded = compute.struct_field(values, "bytes") if "bytes" in fields else nothing
    named = "path" in fields
    names = compute.struct_field(values, "path").to_pylist() if named else [None] * len(values)
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


def vote_targets(
    parts: Sequence[tuple[list[str] | None, list[list[float]] | None]],
    labels: Sequence[str],
    schema: LabelSchema,
    where: str,
) -> F64 | None:
    """Returns (N, K) shares of votes, or None where the files hold no votes.

    ``parts`` are by file the labels that it names and its rows of votes in their order; ``labels``
    the N names, empty where none has a majority; ``where`` is for messages.
    """
    if any(votes is None for _, votes in parts):
        if "" in labels:
            hint = "Write it into all of them, or into none."
            raise DataError(f"has a column {VOTES!r} in some files only", subject=where, hint=hint)
        return None
    column, found = f"column {VOTES!r} of {where}", []
    for names, rows in parts:
        if names is None:
            raise DataError(
                f"must have {len(schema)} values per row in the order of the labels, but the table "
                "does not name its labels",
                subject=column,
                hint=f"Store the labels as a ClassLabel of {', '.join(schema.labels)}, or pass "
                "--labels.",
            )
        if unknown := [name for name in names if name not in schema]:
            reason = f"has votes for {unknown[0]!r}, which is not in the schema {schema.name!r}"
            raise DataError(reason, subject=column, hint=unknown_label(unknown[0], schema.labels))
        M = len(names)
        for at, row in enumerate(rows or ()):
            if row is None or len(row) != M or not sum(row) > 0:
                reason = f"must have {M} values per row with a sum above 0, but row {at} has {row}"
                raise DataError(reason, subject=column)
        found.append(np.array(rows, np.float64) @ label_matrix(names, schema))
    votes = np.concatenate(found)
    return np.asarray(votes / votes.sum(axis=1, keepdims=True))


def label_texts(
    values: Any, names: list[str] | None, request: ReadRequest, where: str
) -> list[str | None]:
    """Returns the name of each row's label, None where it has none.

    ``values`` are texts or class ids, which ``names`` or else the request names.
    """
    from pyarrow import types

    kind = values.type.value_type if types.is_dictionary(values.type) else values.type
    given = values.to_pylist()
    if types.is_string(kind) or types.is_large_string(kind):
        return [text if text is None or text.strip() else None for text in given]
    if not types.is_integer(kind):
        raise DataError(f"must hold text or class ids, not {values.type}", subject=where)
    if names is None and request.label_map:
        return [None if k is None or k < 0 else str(k) for k in given]
    known = request.labels.labels if names is None and request.labels else names
    if known is None:
        reason = "holds class ids, but the table does not name its labels"
        hint = "Type --label-map 0=LABEL,1=LABEL,..., or --labels in the same order."
        raise DataError(reason, subject=where, hint=hint)
    outside = sorted({k for k in given if k is not None and not -1 <= k < len(known)})
    if outside:
        reason = f"has the class ids {outside[:3]}; they must lie in 0..{len(known) - 1}"
        raise DataError(reason, subject=where)
    # datasets writes -1 for "no label".
    return [None if k is None or k < 0 else known[k] for k in given]
