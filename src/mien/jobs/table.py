"""The rows of the results: their schema, and how a part becomes the bytes of a Parquet file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mien.pipeline import Prepared
    from mien.recognizer import EmotionRecognizer

#: Columns that tell the stages of a split job where a row belongs; not in the files.
PART, POSITION = "part", "position"
_ROOT = "mien."


def import_arrow() -> Any:
    """Returns pyarrow.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("a job's Parquet files", "scale", "pyarrow") from error
    return pa


def schema(labels: Sequence[str], *, located: bool = False) -> Any:
    """Returns the Arrow schema: one row a face, or one for a picture without a face.

    ``path``; ``width``, ``height``, pixels of the upright picture, null where it cannot be read;
    ``face``, 1 for the first, null where there is none; ``x1 y1 x2 y2``, the box in pixels;
    ``detection_score``; ``emotion`` and ``confidence``; ``p_LABEL``, the probabilities;
    ``quality_flags``, words of :data:`mien.quality.QUALITY_FLAGS` with spaces between, empty where
    nothing speaks against the answer; ``error``, null where all went well.

    Args:
        labels: The L labels of the answers.
        located: With the columns ``part`` and ``position`` in front.

    >>> schema(["sad", "happy"]).names[-4:]
    ['p_sad', 'p_happy', 'quality_flags', 'error']
    """
    pa = import_arrow()
    where = [(PART, pa.int32()), (POSITION, pa.int32())] if located else []
    numbers = ["x1", "y1", "x2", "y2", "detection_score"]
    return pa.schema(
        [
            *where,
            pa.field("path", pa.string(), nullable=False),
            *((name, pa.int32()) for name in ("width", "height", "face")),
            *((name, pa.float32()) for name in numbers),
            ("emotion", pa.string()),
            ("confidence", pa.float32()),
            *((f"p_{label}", pa.float32()) for label in labels),
            ("quality_flags", pa.string()),
            ("error", pa.string()),
        ]
    )


class Rows:
    """The rows of some pictures, column by column.

    Args:
        labels: The L labels of the answers.
        located: Keep part and position of each picture.
    """

    def __init__(self, labels: Sequence[str], *, located: bool = False) -> None:
        self._labels = tuple(labels)
        self._schema = schema(labels, located=located)
        self._columns: dict[str, list[Any]] = {name: [] for name in self._schema.names}

    def add(self, item: Prepared, answer: Reading, where: tuple[int, int] | None = None) -> None:
        """Adds one picture.

        Args:
            item: The picture, prepared.
            answer: What :func:`classify` says of its faces.
            where: Part and position, where they are kept.
        """
        known: dict[str, Any] = {"path": item.source.encode("utf-8", "backslashreplace").decode()}
        if where is not None:
            known |= {PART: where[0], POSITION: where[1]}
        if item.error is not None:
            known["error"] = str(item.error).encode("utf-8", "backslashreplace").decode()
        else:
            known |= {"width": item.size[0], "height": item.size[1]}
        found = item.detections
        if not len(found):
            self._row(known)
            return
        for index, (row, quality_flags) in enumerate(
            zip(answer.probs, answer.quality_flags, strict=True)
        ):
            top = int(row.argmax())
            box = zip(("x1", "y1", "x2", "y2"), found.boxes_xyxy[index], strict=True)
            self._row(
                {**known, **dict(box), "face": index + 1, "emotion": self._labels[top],
                 "detection_score": found.scores[index], "confidence": row[top],
                 "quality_flags": " ".join(quality_flags),
                 **{f"p_{label}": value for label, value in zip(self._labels, row, strict=True)}}
            )  # fmt: skip

    def _row(self, values: Mapping[str, Any]) -> None:
        for name, column in self._columns.items():
            column.append(values.get(name))

    def table(self) -> Any:
        """Returns the rows as an Arrow table."""
        pa = import_arrow()
        arrays = [
            pa.array(self._columns[field.name], field.type, from_pandas=False)
            for field in self._schema
        ]
        return pa.Table.from_arrays(arrays, schema=self._schema)


@dataclass(frozen=True)
class Reading:
    """What the network says of the M faces of a picture.

    Args:
        probs: float64 (M, L).
        quality_flags: By face, see :attr:`mien.FaceEmotion.quality_flags`.
    """

    probs: NDArray[np.float64]
    quality_flags: Sequence[tuple[str, ...]]


def classify(recognizer: EmotionRecognizer, items: Sequence[Prepared]) -> list[Reading]:
    """Runs the network on the faces of several pictures at once; an answer for each picture."""
    pipeline = recognizer.pipeline
    filled = [item.crops for item in items if len(item)]
    if not filled:
        return [Reading(np.zeros((0, len(recognizer.labels))), ())] * len(items)
    own = pipeline.calibrated(pipeline.logits(np.concatenate(filled)))
    cuts = np.cumsum([len(item) for item in items])[:-1]
    readings = []
    for item, part in zip(items, np.split(own, cuts), strict=True):
        probs = pipeline.answer(part)
        flags = pipeline.assess(part, probs, item.crops, item.detections.boxes_xyxy)[1]
        readings.append(Reading(probs, flags))
    return readings


def count(table: Any) -> dict[str, int]:
    """Counts the pictures, the faces and the pictures that could not be read."""
    import pyarrow.compute as pc

    first = pc.fill_null(pc.less_equal(table["face"], 1), fill_value=True)
    return {
        "pictures": int(pc.sum(first).as_py() or 0),
        "faces": len(table) - table["face"].null_count,
        "failed": len(table) - table["error"].null_count,
    }


def to_parquet(table: Any, notes: Mapping[str, Any]) -> bytes:
    """Returns the bytes of a Parquet file; ``notes`` stand in its metadata as ``mien.NAME``."""
    pa = import_arrow()
    from pyarrow import parquet

    table = table.replace_schema_metadata(
        {_ROOT + name: json.dumps(value) for name, value in notes.items()}
    )
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def read_notes(file: Any) -> dict[str, Any]:
    """Returns the notes of a Parquet file from its end; nothing else of it is read.

    Raises:
        OSError: If the file is no whole Parquet file (pyarrow's errors are among them).
        ValueError: If the notes are damaged.
    """
    from pyarrow import parquet

    metadata = parquet.read_metadata(file).metadata or {}
    return {
        key.decode().removeprefix(_ROOT): json.loads(value)
        for key, value in metadata.items()
        if key.startswith(_ROOT.encode())
    }
