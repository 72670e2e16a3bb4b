"""Labels and shares of votes in Parquet tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.readers.assemble import one_hot
from mien.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mien.labels import LabelSchema

#: Shares of votes by row, in the order of the labels that the table names.
VOTES = "votes"


def vote_targets(
    parts: Sequence[tuple[list[str] | None, list[list[float]] | None]],
    class_ids: NDArray[np.int64],
    schema: LabelSchema,
    where: str,
) -> NDArray[np.float32]:
    """Returns (N, K) shares of votes, or one-hot targets where the files hold no votes.

    Args:
        parts: By file, the labels that it names and its rows of votes.
        class_ids: (N,) classes, -1 where no label has a majority.
        schema: K labels.
        where: What to call the files in messages.

    Raises:
        DataError: If votes do not fit the labels.
    """
    if any(votes is None for _, votes in parts):
        if (class_ids < 0).any():
            raise DataError("only some of the files hold votes", subject=f"{where}:")
        return one_hot(class_ids, schema)
    rows = [row for _, votes in parts for row in votes or ()]
    if any(names != list(schema.labels) for names, _ in parts) or any(
        row is None or len(row) != len(schema) or not sum(row) > 0 for row in rows
    ):
        raise DataError(
            (
                f"column {VOTES!r} holds {len(schema)} shares of votes a row, in the order of "
                "the labels that the table names"
            ),
            subject=f"{where}:",
        )
    votes = np.array(rows, np.float64)
    shares: NDArray[np.float32] = (votes / votes.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def label_texts(
    values: Any, names: list[str] | None, wanted: LabelSchema | None, where: str
) -> list[str | None]:
    """Returns the name of each row's label, None where it has none.

    Args:
        values: ``pyarrow.ChunkedArray`` of texts or class ids.
        names: Names of the class ids, as the table declares them.
        wanted: Schema asked for; names the class ids of a table that does not.
        where: What to call the column in messages.

    Raises:
        DataError: If the labels are of another type, or class ids have no names.
    """
    from pyarrow import types

    kind = values.type.value_type if types.is_dictionary(values.type) else values.type
    given = values.to_pylist()
    if types.is_string(kind) or types.is_large_string(kind):
        return [text if text is None or text.strip() else None for text in given]
    if not types.is_integer(kind):
        raise DataError(f"labels are text or class ids, got {values.type}", subject=f"{where}:")
    known: Sequence[str] | None = names
    if known is None and wanted is not None:
        known = wanted.labels
    if known is None:
        raise DataError(
            "holds class ids without names: the table has no ClassLabel of Hugging Face's",
            subject=where,
            hint="Pass the labels whose order they follow (--labels), or store names.",
        )
    outside = sorted({k for k in given if k is not None and not -1 <= k < len(known)})
    if outside:
        raise DataError(
            f"class ids must lie in 0..{len(known) - 1}, got {outside[:3]}", subject=f"{where}:"
        )
    # datasets writes -1 for "no label".
    return [None if k is None or k < 0 else known[k] for k in given]
