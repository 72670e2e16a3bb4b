"""The rows of the results: their schema, and how a part becomes the bytes of a Parquet file."""

from __future__ import annotations

import json
from itertools import repeat
from typing import TYPE_CHECKING, Any

from mien.errors import needs_extra

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from mien.results import ErrorResult, ImageResult

#: Columns that tell the stages of a split job where a row belongs; not in the files.
PART, POSITION = "part", "position"
_ROOT = "mien."
_BOX = ("x1", "y1", "x2", "y2")


def import_arrow() -> Any:
    """Returns pyarrow, with its ``compute`` and ``parquet``."""
    with needs_extra("a job's Parquet files", "jobs"):
        import pyarrow as pa
        import pyarrow.compute
        import pyarrow.parquet
    return pa


def schema(labels: Sequence[str], *, located: bool = False) -> Any:
    """Returns the Arrow schema: one row per face, or one for a picture without a face.

    The names and meanings are those of :class:`mien.ImageResult` and :class:`mien.FaceEmotion`;
    ``box_xyxy`` is ``x1 y1 x2 y2``, ``probs`` are ``p_LABEL``, and ``face`` is 1 for the first.
    What a picture does not have is null: ``width`` and ``height`` where it cannot be read, ``face``
    and the columns that follow where there is none, ``error`` where all went well. ``located`` puts
    ``part`` and ``position`` in front.
    """
    pa = import_arrow()
    words = pa.list_(pa.string())
    numbers = (*_BOX, "detection_score")
    return pa.schema(
        [
            *([(PART, pa.int32()), (POSITION, pa.int32())] if located else []),
            pa.field("source", pa.string(), nullable=False),
            *((name, pa.int32()) for name in ("width", "height", "face")),
            *((name, pa.float32()) for name in numbers),
            ("emotion", pa.string()),
            ("confidence", pa.float32()),
            *((f"p_{label}", pa.float32()) for label in labels),
            ("prediction_set", words),
            ("quality_flags", words),
            ("uncertain", pa.bool_()),
            ("error", pa.string()),
        ]
    )


def to_table(
    results: Iterable[ImageResult | ErrorResult],
    labels: Sequence[str],
    where: Iterable[tuple[int, int]] | None = None,
) -> Any:
    """Returns the rows of pictures as an Arrow table; ``where`` are their parts and positions."""
    places = repeat((None, None)) if where is None else where
    rows = [
        {**row, PART: part, POSITION: position}
        for result, (part, position) in zip(results, places, strict=where is not None)
        for row in _rows(result)
    ]
    return import_arrow().Table.from_pylist(rows, schema(labels, located=where is not None))


def _rows(result: ImageResult | ErrorResult) -> Iterator[dict[str, Any]]:
    picture = result.to_dict()
    for name in ("source", "error"):
        if name in picture:  # a name that is no Unicode text
            picture[name] = picture[name].encode("utf-8", "backslashreplace").decode()
    faces = picture.pop("faces", None)
    if not faces:
        yield picture
        return
    for number, face in enumerate(faces, 1):
        box = dict(zip(_BOX, face["box_xyxy"], strict=True))
        probs = {f"p_{label}": value for label, value in face["probs"].items()}
        yield {**picture, **face, **box, **probs, "face": number}


def count(table: Any) -> dict[str, int]:
    """Counts the pictures, the faces and the pictures that could not be read."""
    pc = import_arrow().compute
    first = pc.fill_null(pc.less_equal(table["face"], 1), fill_value=True)
    return {
        "pictures": int(pc.sum(first).as_py() or 0),
        "faces": len(table) - table["face"].null_count,
        "failed": len(table) - table["error"].null_count,
    }


def to_parquet(table: Any, notes: Mapping[str, Any]) -> bytes:
    """Returns the bytes of a Parquet file; ``notes`` stand in its metadata as ``mien.NAME``."""
    pa = import_arrow()
    table = table.replace_schema_metadata(
        {_ROOT + name: json.dumps(value) for name, value in notes.items()}
    )
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def read_notes(file: Any) -> dict[str, Any]:
    """Returns the notes of a Parquet file from its end; nothing else of it is read.

    OSError says that it is no whole Parquet file, ValueError that the notes are damaged.
    """
    metadata = import_arrow().parquet.read_metadata(file).metadata or {}
    return {
        key.decode().removeprefix(_ROOT): json.loads(value)
        for key, value in metadata.items()
        if key.startswith(_ROOT.encode())
    }
