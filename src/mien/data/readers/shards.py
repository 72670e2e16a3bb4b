"""Datasets in Parquet shards (``shards:DIR``), as ``mien data shard`` writes them."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.image_stores import ShardedImages, encode_png
from mien.data.manifest import Manifest
from mien.data.readers.arrowtables import VOTES, read_columns, read_schema, vote_targets
from mien.data.readers.assemble import choose_schema, class_id, one_hot
from mien.data.registry import ReadRequest, register_reader
from mien.data.split import SPLITS
from mien.errors import ConfigError, DataError
from mien.labels import LabelSchema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mien.arrays import I64
    from mien.preprocess import Preprocessing

#: The table of contents in the folder of the shards.
INDEX = "shards.json"
#: Number of the form that is written into it.
FORMAT = 1


@dataclass(frozen=True)
class Shard:
    """One file: its path, split, number of faces, size and sha256, rows that are leaked."""

    path: Path
    split: str
    faces: int
    size: int
    sha256: str
    leaked: tuple[int, ...] = ()

    def check(self) -> None:
        """Compares the file with the table of contents; another one is a ``DataError``."""
        from mien.hub import sha256

        try:
            same = self.path.stat().st_size == self.size and sha256(self.path) == self.sha256
        except OSError as error:
            raise self.damaged(error.strerror or str(error)) from error
        if not same:
            raise self.damaged(f"it is not the file that {INDEX} was written for")

    def damaged(self, why: object) -> DataError:
        """Returns the error that names the shard."""
        return DataError(
            f"is damaged: {why}",
            subject=f"the shard {self.path}",
            hint="Fetch it again, or write the shards anew with mien data shard.",
        )


@dataclass(frozen=True)
class ShardIndex:
    """The content of ``shards.json``; ``rows`` are the faces in a row group of a file.

    ``pixels`` are side and colour of faces stored as bare pixels; None: as pictures.
    """

    schema: LabelSchema
    shards: tuple[Shard, ...]
    rows: int
    pixels: tuple[int, str] | None


def read_index(root: Path) -> ShardIndex:
    """Reads the table of contents of a folder of shards."""
    path = root / INDEX
    try:
        given = json.loads(path.read_text("utf-8"))
        if given["format"] != FORMAT:
            reason = f"has format {given['format']}, but this mien reads {FORMAT}"
            raise DataError(reason, subject=path)
        pixels = given["pixels"]
        return ShardIndex(
            LabelSchema.from_dict(given["schema"]),
            tuple(
                Shard(
                    root / one["file"], one["split"], one["faces"], one["bytes"], one["sha256"],
                    tuple(one["leaked"]),
                )
                for one in given["shards"]
            ),
            int(given["rows_per_group"]),
            pixels and (int(pixels["size"]), str(pixels["color"])),
        )  # fmt: skip
    except OSError as error:
        reason = f"cannot be read ({error.strerror or error})"
        hint = "mien data shard writes it; a folder of other Parquet files is parquet:DIR."
        raise DataError(reason, subject=path, hint=hint) from error
    except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise DataError(f"is no table of contents of shards ({error!r})", subject=path) from error


class ShardImages(ShardedImages):
    """The pictures of Parquet shards; each thread holds at most one row group."""

    def __init__(self, index: ShardIndex) -> None:
        super().__init__([shard.faces for shard in index.shards])
        self.index = index
        self._held = threading.local()

    def __getstate__(self) -> dict[str, Any]:
        return {"index": self.index}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def key(self, index: int) -> str:
        """Returns the file name of the shard and the row in it."""
        shard, row = self.locate(index)
        return f"{self.index.shards[shard].path.name}#{row}"

    def read(self, index: int) -> bytes:
        """Returns one picture; bare pixels become a PNG."""
        shard, row = self.locate(int(index))
        group, inside = divmod(row, self.index.rows)
        if getattr(self._held, "group", None) != (shard, group):
            with _open(self.index.shards[shard]) as file:
                self._held.column = self._column(file, shard, group)
            self._held.group = (shard, group)
        data: bytes = self._held.column[inside].as_py()
        return self.as_picture(data)

    def read_rows(self, shard: int, rows: I64) -> Iterator[bytes]:
        """Yields pictures of one shard, or their bare pixels, after checking its sha256."""
        self.index.shards[shard].check()
        groups = rows // self.index.rows
        with _open(self.index.shards[shard]) as file:
            for group in np.unique(groups).tolist():
                column = self._column(file, shard, group)
                for row in rows[groups == group].tolist():
                    yield column[row - group * self.index.rows].as_py()

    def as_picture(self, data: bytes) -> bytes:
        """Returns bare pixels as a PNG, and pictures as they are."""
        if self.index.pixels is None:
            return data
        side, color = self.index.pixels
        shape = (side, side) if color == "gray" else (side, side, 3)
        return encode_png(np.frombuffer(data, np.uint8).reshape(shape))

    def is_ready(self, preprocessing: Preprocessing) -> bool:
        """Tells whether the bare pixels are what a network of that input wants."""
        return self.index.pixels == (preprocessing.size, preprocessing.color)

    def _column(self, file: Any, shard: int, group: int) -> Any:
        from pyarrow import ArrowException

        name = "image.bytes" if self.index.pixels is None else "pixels"
        try:
            table = file.read_row_group(group, columns=[name], use_threads=False)
        except (ArrowException, OSError) as error:
            raise self.index.shards[shard].damaged(error) from error
        column = table.column(0).combine_chunks()
        return column if self.index.pixels is not None else column.field("bytes")


def _open(shard: Shard) -> Any:
    from pyarrow import ArrowException, parquet

    try:
        return parquet.ParquetFile(shard.path)
    except (ArrowException, OSError) as error:
        raise shard.damaged(error) from error


@register_reader("shards")
def read_shards(request: ReadRequest) -> Manifest:
    """Reads ``shards:DIR``: labels now, pictures as they are needed.

    Splits are those that the shards were written with; copies were dealt with then. A share of
    train is not dealt to valid where they have none: that is warned of.
    """
    index = read_index(request.path)
    shards, names = index.shards, [request.rename(name) for name in index.schema.labels]
    columns = [_labels_of(shard) for shard in shards]
    where = str(request.path)
    own = choose_schema(names, where) if request.label_map else index.schema
    schema = request.labels or own
    stored = np.concatenate([ids for ids, _, _ in columns])
    ids = {k: class_id(schema, names[k], where) for k in np.unique(stored).tolist() if k >= 0}
    class_ids = np.array([ids.get(k, -1) for k in stored.tolist()], np.int64)
    labels = [names[k] if k >= 0 else "" for k in stored.tolist()]
    shares = vote_targets([(names, votes) for _, votes, _ in columns], labels, schema, request.spec)
    groups = [group for _, _, group in columns]
    lacking = {shard.split for shard in shards} & {"train", "valid"} == {"train"}
    warning = (
        "the shards have no valid split, and none is dealt out of their train faces (valid_share "
        f"{request.valid_share:g}). Type mien data shard on the data itself: it writes one."
    )
    return Manifest(
        request.spec,
        schema,
        ShardImages(index),
        (one_hot(class_ids, schema) if shares is None else shares).astype(np.float32),
        class_ids,
        np.repeat([shard.split for shard in shards], [shard.faces for shard in shards]),
        None if any(g is None for g in groups) else np.concatenate([g for g in groups if g]),
        np.concatenate([np.isin(np.arange(shard.faces), shard.leaked) for shard in shards]),
        (warning,) if lacking and request.valid_share else (),
    )


def _labels_of(shard: Shard) -> tuple[I64, Any, list[str] | None]:
    """Returns class ids, votes and subjects of a shard's rows, the latter where it has them."""
    if shard.split not in SPLITS:
        raise shard.damaged(f"{shard.split!r} is no split")
    try:
        have = [name for name in (VOTES, "subject_id") if name in read_schema(shard.path).names]
        table = read_columns(shard.path, ["label", *have])
    except DataError as error:
        raise shard.damaged(error) from error
    if len(table) != shard.faces:
        raise shard.damaged(f"it holds {len(table)} faces, not {shard.faces}")
    votes, groups = (table[n].to_pylist() if n in have else None for n in (VOTES, "subject_id"))
    return table["label"].to_numpy(), votes, groups
