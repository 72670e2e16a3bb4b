"""Writing a manifest as Parquet shards (``mien data shard``)."""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.atomic import check_free, replacing_folder
from mien.data.faces import read_face
from mien.data.readers.shards import FORMAT, INDEX
from mien.data.split import SPLITS
from mien.data.writers.parquet import parquet_row, parquet_schema
from mien.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

    from mien.data.manifest import Manifest
    from mien.data.writers.files import Advance
    from mien.preprocess import Preprocessing

#: Faces in a row group: what a reader holds at once.
ROWS = 256


def write_shards(
    manifest: Manifest,
    output: Path,
    *,
    faces_per_shard: int = 8192,
    seed: int = 0,
    pixels: Preprocessing | None = None,
    overwrite: bool = False,
    progress: Advance | None = None,
) -> int:
    """Writes ``SPLIT-00000-of-00012.parquet`` and ``shards.json``.

    Train is shuffled first, so that each shard is a fair sample of it. Shards with pictures are
    read as ``parquet:DIR`` too.

    Args:
        manifest: N pictures.
        output: A folder that does not exist yet; it appears whole or not at all.
        faces_per_shard: The most in a file; the files of a split are equally large.
        seed: Seed of the shuffling.
        pixels: Store each face as bare pixels of that size and colour, which training reads
            without decoding; None: pictures stay as they are.
        overwrite: Replace what is there.
        progress: Called with the number of pictures just written.

    Returns:
        The number of shards.

    Raises:
        ConfigError: If the output is taken, or shards would be empty.
        DataError: If a picture cannot be read.
        MissingExtraError: If pyarrow is not installed.
    """
    if faces_per_shard < 1:
        raise ConfigError(f"faces_per_shard must be at least 1; got {faces_per_shard}")
    check_free(output, overwrite=overwrite)
    entries: list[dict[str, Any]] = []
    with replacing_folder(output) as folder:
        for split in SPLITS:
            rows = np.flatnonzero(manifest.splits == split)
            if split == "train":
                rows = np.random.default_rng(seed).permutation(rows)
            count = math.ceil(len(rows) / faces_per_shard)
            for number, part in enumerate(np.array_split(rows, count) if count else []):
                path = folder / f"{split}-{number:05}-of-{count:05}.parquet"
                _write_shard(manifest, part.tolist(), path, pixels, progress)
                leaked = np.flatnonzero(manifest.leaked[part]).tolist()
                entries.append(_entry(path, split, len(part), leaked))
        index = {
            "format": FORMAT,
            "source": manifest.source.partition(":")[0],
            "schema": manifest.schema.to_dict(),
            "counts": manifest.counts(),
            "rows_per_group": ROWS,
            "pixels": pixels and {"size": pixels.size, "color": pixels.color},
            "shards": entries,
        }
        text = json.dumps(index, indent=1, ensure_ascii=False)
        (folder / INDEX).write_text(text + "\n", encoding="utf-8")
    return len(entries)


def _write_shard(
    manifest: Manifest,
    rows: list[int],
    path: Path,
    pixels: Preprocessing | None,
    progress: Advance | None,
) -> None:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("writing shards", "eval", "pyarrow") from error
    schema = parquet_schema(pa, manifest)
    if pixels is not None:
        side = pixels.size * pixels.size * pixels.channels
        schema = schema.remove_metadata().set(0, pa.field("pixels", pa.binary(side)))

    def row(index: int) -> dict[str, Any]:
        made = parquet_row(manifest, index, None, schema)
        if pixels is not None:
            data, key = made.pop("image")["bytes"], manifest.images.key(index)
            made["pixels"] = read_face(data, key, pixels).tobytes()
        return made

    with parquet.ParquetWriter(path, schema, compression="zstd") as file:
        for start in range(0, len(rows), ROWS):
            part = rows[start : start + ROWS]
            file.write_table(pa.Table.from_pylist([row(index) for index in part], schema))
            if progress:
                progress(len(part))


def _entry(path: Path, split: str, faces: int, leaked: list[int]) -> dict[str, Any]:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "file": path.name,
        "split": split,
        "faces": faces,
        "bytes": path.stat().st_size,
        "sha256": sha256,
        "leaked": leaked,
    }
