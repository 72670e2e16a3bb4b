"""FER2013's faces with the votes of FER+ (``ferplus:DIR``).

FER+ (Barsoum, Zhang, Canton Ferrer and Zhang, 2016, arXiv:1608.01041) asked ten raters per
face for one of eight emotions, ``unknown`` or ``NF`` (no face). The rules here are those of the
paper and of its published code (github.com/microsoft/FERPlus, MIT), written anew on arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.readers.arrowtables import arrow_images, picture_column, read_columns
from mien.data.readers.assemble import assemble
from mien.data.registry import ReadRequest, register_reader
from mien.data.split import SPLITS
from mien.errors import ConfigError, DataError
from mien.labels import FER7, FERPLUS8

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mien.data.manifest import Manifest

#: The ten columns of votes: the eight emotions of ``ferplus8``, then two that are none.
VOTE_COLUMNS = (*FERPLUS8.labels, "unknown", "NF")
_EMOTIONS = len(FERPLUS8)


def drop_single_votes(votes: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Returns the votes with every count of 1 set to 0, in all ten columns.

    Args:
        votes: (N, 10) counts, in the order of :data:`VOTE_COLUMNS`.
    """
    return np.where(votes == 1, 0, votes).astype(np.int64)


def majority_class(votes: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Returns the class that most raters agree on: the protocol that FER+ results report.

    Single votes are dropped; the top count must then be more than half of what remains, and
    must be an emotion.

    Args:
        votes: (N, 10) counts as the raters gave them, in the order of :data:`VOTE_COLUMNS`.

    Returns:
        (N,) class ids of ``ferplus8``, or -1 where there is no majority for an emotion.

    >>> majority_class(np.array([[6, 3, 1, 0, 0, 0, 0, 0, 0, 0], [4, 4, 2, 0, 0, 0, 0, 0, 0, 0]]))
    array([ 0, -1])
    """
    left = drop_single_votes(votes)
    top = left.argmax(axis=1)
    agreed = 2 * left.max(axis=1) > left.sum(axis=1)
    return np.where(agreed & (top < _EMOTIONS), top, -1)


def crossentropy_votes(votes: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Returns the votes that FER+'s cross-entropy mode trains on; rows of zeros are left out.

    Single votes are dropped. The largest counts are taken, all of one size together, while less
    than 75 % of the votes are taken and fewer than three emotions; ``unknown`` or ``NF`` among
    the largest ends it. A face is left out when that takes more than three emotions, or at most
    half of the votes. Of the 28,558 train faces 27,953 remain, all faces with a majority included.

    Args:
        votes: (N, 10) counts as the raters gave them, in the order of :data:`VOTE_COLUMNS`.

    Returns:
        (N, 8) counts of the emotions taken.

    >>> crossentropy_votes(np.array([[5, 3, 1, 1, 0, 0, 0, 0, 0, 0]])).tolist()
    [[5, 3, 0, 0, 0, 0, 0, 0]]
    """
    left = drop_single_votes(votes)
    total = left.sum(axis=1)
    taken = np.zeros((len(left), _EMOTIONS), dtype=np.int64)
    running = total > 0
    for _ in range(3):
        top = left.max(axis=1)
        hit = (left == top[:, None]) & (running & (top > 0))[:, None]
        taken[hit[:, :_EMOTIONS]] = left[:, :_EMOTIONS][hit[:, :_EMOTIONS]]
        left[hit] = 0
        running &= ~hit[:, _EMOTIONS:].any(axis=1)
        running &= (4 * taken.sum(axis=1) < 3 * total) & ((taken > 0).sum(axis=1) < 3)
    kept = (2 * taken.sum(axis=1) > total) & ((taken > 0).sum(axis=1) <= 3)
    taken[~kept] = 0
    return taken


@register_reader("ferplus", options=("labels", "mode", "dedupe"))
def read_ferplus(request: ReadRequest) -> Manifest:
    """Reads ``ferplus:DIR``, a folder with ``train``, ``valid`` and ``test.parquet``.

    Options: ``labels=ferplus`` (votes, 8 emotions) or ``fer2013`` (7 one-hot labels, no face
    left out); ``mode=soft`` (train keeps the faces of a majority and those of the cross-entropy
    mode) or ``majority``; ``dedupe=true`` removes from train what is also in valid or test.

    Valid and test keep all faces in both modes, with the share of all their votes as target:
    take ``with_labels()`` of them to score by the majority protocol. The few without any
    repeated vote for an emotion have their single votes as target, or equal shares.

    Raises:
        DataError: If no table is there, or one is not of this form.
        ConfigError: If an option is wrong, or other labels are wanted.
        MissingExtraError: If pyarrow is not installed.
    """
    fer2013 = request.choice("labels", "ferplus", "fer2013") == "fer2013"
    mode = request.choice("mode", "soft", "majority")
    if fer2013 and "mode" in request.options:
        raise ConfigError(
            "has mode=, which chooses by votes, and labels=fer2013, which has none",
            subject=request.spec,
            hint="Leave one of the two out.",
        )
    schema = request.expect(
        FER7 if fer2013 else FERPLUS8, "Leave the labels out; labels=fer2013 gives 'fer7'."
    )
    tables = _read_tables(request.path, ["fer2013"] if fer2013 else list(VOTE_COLUMNS))
    splits = [split for split, table in tables.items() for _ in range(len(table))]
    images = arrow_images(
        [picture_column(request.path / f"{split}.parquet", t) for split, t in tables.items()]
    )
    if fer2013:
        labels = [name for table in tables.values() for name in table["fer2013"].to_pylist()]
        return assemble(request, images, labels, schema=schema, splits=splits)
    votes = np.concatenate([_votes(table) for table in tables.values()])
    class_ids = majority_class(votes)
    targets, keep = vote_targets(votes, class_ids, np.array(splits) == "train", mode)
    return assemble(
        request, images, class_names(class_ids), schema=schema, targets=targets, splits=splits,
        keep=keep,
    )  # fmt: skip


def _read_tables(folder: Path, columns: list[str]) -> dict[str, Any]:
    tables = {}
    for split in SPLITS:
        path = folder / f"{split}.parquet"
        if not path.exists():
            continue
        table = read_columns(path, ["image", *columns])
        empty = [name for name in columns if table[name].null_count]
        if empty:
            raise DataError(
                f"has rows without a value in {', '.join(empty)}", subject=path, hint="Fill them."
            )
        if len(table):
            tables[split] = table
    if not tables:
        raise DataError(
            "has no faces", subject=folder,
            hint="It needs train.parquet, valid.parquet or test.parquet, with rows.",
        )  # fmt: skip
    return tables


def _votes(table: Any) -> NDArray[np.int64]:
    return np.stack([table[name].to_numpy() for name in VOTE_COLUMNS], axis=1).astype(np.int64)


def class_names(class_ids: NDArray[np.int64]) -> list[str]:
    """Returns the label of each class id of ``ferplus8``, empty for -1."""
    return [FERPLUS8.labels[k] if k >= 0 else "" for k in class_ids.tolist()]


def vote_targets(
    votes: NDArray[np.int64], class_ids: NDArray[np.int64], train: NDArray[np.bool_], mode: str
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Returns (N, 8) shares of votes, and which faces to keep."""
    counts = drop_single_votes(votes)[:, :_EMOTIONS]
    keep = class_ids >= 0
    if mode == "soft":
        taken = crossentropy_votes(votes)
        chosen = train & taken.any(axis=1)
        counts[chosen] = taken[chosen]
        keep |= chosen
    keep |= ~train
    none = ~counts.any(axis=1)
    counts[none] = votes[none, :_EMOTIONS]
    counts[~counts.any(axis=1)] = 1
    shares = counts / counts.sum(axis=1, keepdims=True)
    return shares.astype(np.float32), keep
