"""Labels and shares of votes in Parquet tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mien.labels import LabelSchema

#: Column of shares of votes, in the order of the labels that the table names.
VOTES = "votes"


def vote_targets(
    parts: Sequence[tuple[list[str] | None, list[list[float]] | None]],
    labels: Sequence[str],
    schema: LabelSchema,
    where: str,
) -> NDArray[np.float64] | None:
    """Returns (N, K) shares of votes, or None where the files hold no votes.

    Args:
        parts: By file, the labels that it names and its rows of votes.
        labels: N names of labels, empty where none has a majority.
        schema: K labels.
        where: What to call the files in messages.

    Raises:
        DataError: If votes do not fit the labels.
    """
    if any(votes is None for _, votes in parts):
        if "" in labels:
            raise DataError(
                f"has a column {VOTES!r} in some files only", subject=where,
                hint="Write it into all of them, or into none.",
            )  # fmt: skip
        return None
    K, column = len(schema), f"column {VOTES!r} of {where}"
    for names, _ in parts:
        if names != list(schema.labels):
            given = f"names the labels {', '.join(names)}" if names else "does not name its labels"
            raise DataError(
                f"must have {K} values per row in the order of the labels, but the table {given}",
                subject=column,
                hint=f"Store the labels as a ClassLabel of {', '.join(schema.labels)}"
                + ("." if names else ", or pass --labels."),
            )
    rows = [row for _, votes in parts for row in votes or ()]
    for at, row in enumerate(rows):
        if row is None or len(row) != K or not sum(row) > 0:
            raise DataError(
                f"must have {K} values per row with a sum above 0, but row {at} has {row}",
                subject=column,
            )
    votes = np.array(rows, np.float64)
    shares: NDArray[np.float64] = votes / votes.sum(axis=1, keepdims=True)
    return shares


def label_texts(
    values: Any, names: list[str] | None, wanted: LabelSchema | None, where: str
) -> list[str | None]:
    """Returns the name of each row's label, None where it has none.

    Args:
        values: ``pyarrow.ChunkedArray`` of texts or class ids.
        names: Names of the class ids, as the table declares them.
        wanted: Schema wanted; names the class ids of a table that does not.
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
        raise DataError(f"must hold text or class ids, not {values.type}", subject=where)
    known = wanted.labels if names is None and wanted is not None else names
    if known is None:
        raise DataError(
            "holds class ids, but the table does not name its labels",
            subject=where,
            hint="Store them as a ClassLabel, or pass --labels in the same order.",
        )
    outside = sorted({k for k in given if k is not None and not -1 <= k < len(known)})
    if outside:
        raise DataError(
            f"has the class ids {outside[:3]}; they must lie in 0..{len(known) - 1}", subject=where
        )
    # datasets writes -1 for "no label".
    return [None if k is None or k < 0 else known[k] for k in given]
