"""Writing a manifest as one Parquet file in Hugging Face's image layout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mien.atomic import check_free, replacing
from mien.data.filenames import printable
from mien.data.readers.parquetlabels import VOTES
from mien.data.writers.files import Advance, has_votes, relative_names
from mien.data.writers.output import plain_name
from mien.errors import MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

    from mien.data.manifest import Manifest

_ROWS = 1024


def write_parquet(
    manifest: Manifest,
    output: Path,
    *,
    embed: bool = True,
    overwrite: bool = False,
    progress: Advance | None = None,
) -> None:
    """Writes ``image``, ``label`` (named class ids), ``split``, ``subject_id`` and ``votes``.

    Rows are written 1,024 at a time, so memory stays small.

    Args:
        manifest: N pictures.
        output: The file.
        embed: Store the pictures' bytes; else their paths, relative to the file.
        overwrite: Replace what is there.
        progress: Called with the number of pictures just written.

    Raises:
        ConfigError: If the output is taken, or pictures are no files and shall not be embedded.
        DataError: If a picture cannot be read or named.
        MissingExtraError: If pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("writing Parquet", "eval", "pyarrow") from error
    check_free(output, overwrite=overwrite)
    paths = None if embed else relative_names(manifest.images, output.parent)
    schema = parquet_schema(pa, manifest)
    with (
        replacing(output) as temporary,
        parquet.ParquetWriter(temporary, schema, compression="zstd") as file,
    ):
        for start in range(0, len(manifest), _ROWS):
            rows = range(start, min(start + _ROWS, len(manifest)))
            file.write_table(
                pa.Table.from_pylist(
                    [parquet_row(manifest, i, paths, schema) for i in rows], schema
                )
            )
            if progress:
                progress(len(rows))


def parquet_row(
    manifest: Manifest, index: int, paths: list[str] | None, schema: Any
) -> dict[str, Any]:
    """Returns a picture as a row of a table; ``paths`` stand for bytes where they are given."""
    row: dict[str, Any] = {
        "image": {"bytes": None, "path": paths[index]}
        if paths is not None
        else {
            "bytes": manifest.images.read(index),
            "path": plain_name(manifest.images.key(index)),
        },
        "label": int(manifest.class_ids[index]),
        "split": str(manifest.splits[index]),
    }
    if manifest.groups is not None:
        row["subject_id"] = printable(str(manifest.groups[index]))
    if VOTES in schema.names:
        row[VOTES] = manifest.targets[index].tolist()
    return row


def parquet_schema(pa: Any, manifest: Manifest) -> Any:
    """Returns the columns of a manifest's table, with the metadata that Hugging Face reads."""
    text = {"dtype": "string", "_type": "Value"}
    fields = [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]), {"_type": "Image"}),
        (
            "label",
            pa.int64(),
            {"names": list(manifest.schema.labels), "_type": "ClassLabel"},
        ),
        ("split", pa.string(), text),
    ]
    if manifest.groups is not None:
        fields.append(("subject_id", pa.string(), text))
    if has_votes(manifest):
        share = {"dtype": "float32", "_type": "Value"}
        fields.append((VOTES, pa.list_(pa.float32()), {"feature": share, "_type": "Sequence"}))
    features = {name: feature for name, _, feature in fields}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema([(name, kind) for name, kind, _ in fields], metadata=metadata)
