"""Writing a manifest as Parquet in Hugging Face's image layout: one file, or shards."""

from __future__ import annotations

import json
import math
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.atomic import check_free, replacing, replacing_folder
from mien.data.faces import keep_readable, read_face
from mien.data.filenames import plain_name, printable
from mien.data.readers.arrowtables import VOTES
from mien.data.readers.shards import FORMAT, INDEX
from mien.data.split import SPLITS
from mien.data.writers.files import Advance, has_votes, relative_names
from mien.errors import ConfigError, DataError, needs_extra
from mien.hub import sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mien.data.manifest import Manifest
    from mien.preprocess import Preprocessing

#: Pictures that are held at once while a file is written.
_ROWS = 1024
#: Faces in a row group of a shard: what a reader holds at once.
ROWS = 256


def write_parquet(
    manifest: Manifest,
    output: Path,
    *,
    embed: bool = True,
    overwrite: bool = False,
    progress: Advance | None = None,
) -> None:
    """Writes ``image``, ``label`` (named class ids), ``split``, ``subject_id`` and ``votes``.

    Without ``embed`` the paths of the pictures are written, relative to the file, not their bytes.
    """
    check_free(output, overwrite=overwrite)
    paths = None if embed else relative_names(manifest.images, output.parent)
    schema, row = _schema(manifest), partial(_row, manifest, paths=paths)
    with replacing(output) as temporary:
        _write_rows(temporary, schema, range(len(manifest)), row, _ROWS, progress)


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
    """Writes ``SPLIT-00000-of-00012.parquet`` and ``shards.json``; returns how many shards.

    Train is shuffled first, so that each shard is a fair sample of it; the files of a split are
    equally large. Shards with pictures are read as ``parquet:DIR`` too; ``pixels`` stores each face
    as bare pixels of that size and colour, which training reads without decoding; pictures that
    cannot be read are left out then, and counted in a warning. The folder appears whole or not at
    all.
    """
    if faces_per_shard < 1:
        raise ConfigError(f"faces_per_shard must be at least 1; got {faces_per_shard}")
    check_free(output, overwrite=overwrite)
    schema = _schema(manifest, pixels)
    damaged: dict[int, DataError] = {}

    def row(index: int) -> dict[str, Any] | None:
        made = _row(manifest, index)
        if pixels is not None:
            data, key = made.pop("image")["bytes"], manifest.images.key(index)
            try:
                made["pixels"] = read_face(data, key, pixels).tobytes()
            except DataError as error:
                if manifest.on_error == "stop":
                    raise
                damaged[index] = error
                return None
        return made

    entries: list[dict[str, Any]] = []
    with replacing_folder(output) as folder:
        for split in SPLITS:
            rows = np.flatnonzero(manifest.splits == split)
            if split == "train":
                rows = np.random.default_rng(seed).permutation(rows)
            count = math.ceil(len(rows) / faces_per_shard)
            for number, part in enumerate(np.array_split(rows, count) if count else []):
                path = folder / f"{split}-{number:05}-of-{count:05}.parquet"
                _write_rows(path, schema, part.tolist(), row, ROWS, progress)
                kept = part[~np.isin(part, list(damaged))]
                leaked = np.flatnonzero(manifest.leaked[kept]).tolist()
                entry = {"file": path.name, "split": split, "faces": len(kept), "leaked": leaked}
                entries.append(entry | {"bytes": path.stat().st_size, "sha256": sha256(path)})
        kept_all = manifest.select(keep_readable(manifest, damaged)) if damaged else manifest
        index = {
            "format": FORMAT,
            "source": manifest.source.partition(":")[0],
            "schema": manifest.schema.to_dict(),
            "counts": kept_all.counts(),
            "rows_per_group": ROWS,
            "pixels": pixels and {"size": pixels.size, "color": pixels.color},
            "shards": entries,
        }
        text = json.dumps(index, indent=1, ensure_ascii=False)
        (folder / INDEX).write_text(text + "\n", encoding="utf-8")
    return len(entries)


def _write_rows(
    path: Path,
    schema: Any,
    rows: Sequence[int],
    make: Callable[[int], dict[str, Any] | None],
    size: int,
    progress: Advance | None,
) -> None:
    """Writes rows in groups of ``size``, so that memory stays small; one that is None is none."""
    import pyarrow as pa
    from pyarrow import parquet

    with parquet.ParquetWriter(path, schema, compression="zstd") as file:
        made = (row for index in rows if (row := make(index)) is not None)
        while part := list(islice(made, size)):
            file.write_table(pa.Table.from_pylist(part, schema))
            if progress:
                progress(len(part))


def _row(manifest: Manifest, index: int, paths: list[str] | None = None) -> dict[str, Any]:
    """Returns a picture as a row; ``paths`` stand for bytes where they are given."""
    image: dict[str, Any] = {"bytes": None, "path": paths and paths[index]}
    if paths is None:
        name = plain_name(manifest.images.key(index))
        image = {"bytes": manifest.images.read(index), "path": name}
    return {
        "image": image,
        "label": int(manifest.class_ids[index]),
        "split": str(manifest.splits[index]),
        "subject_id": None if manifest.groups is None else printable(str(manifest.groups[index])),
        VOTES: manifest.targets[index].tolist(),
    }


def _schema(manifest: Manifest, pixels: Preprocessing | None = None) -> Any:
    """Returns the columns of a manifest's table, with the metadata that Hugging Face reads."""
    with needs_extra("writing Parquet", "eval"):
        import pyarrow as pa
    text, names = {"dtype": "string", "_type": "Value"}, list(manifest.schema.labels)
    fields = [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]), {"_type": "Image"}),
        ("label", pa.int64(), {"names": names, "_type": "ClassLabel"}),
        ("split", pa.string(), text),
    ]
    if manifest.groups is not None:
        fields.append(("subject_id", pa.string(), text))
    if has_votes(manifest):
        share = {"dtype": "float32", "_type": "Value"}
        fields.append((VOTES, pa.list_(pa.float32()), {"feature": share, "_type": "Sequence"}))
    features = {name: feature for name, _, feature in fields}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    schema = pa.schema([(name, kind) for name, kind, _ in fields], metadata=metadata)
    if pixels is None:
        return schema
    side = pixels.size * pixels.size * pixels.channels
    return schema.remove_metadata().set(0, pa.field("pixels", pa.binary(side)))
