"""FER2013's faces with the votes of FER+ (``ferplus:DIR``).

FER+ (Barsoum, Zhang, Canton Ferrer and Zhang, 2016, arXiv:1608.01041) asked ten raters a face
for one of eight emotions, ``unknown`` or ``NF`` (no face). The rules here are those of the
paper and of its published code (github.com/microsoft/FERPlus, MIT), written anew on arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.duplicates import find_leaks, picture_contents, removal_warning
from mien.data.manifest import SPLITS, Manifest
from mien.data.readers.arrowtables import arrow_images, picture_column, read_columns
from mien.data.registry import ReadRequest, register_reader
from mien.errors import ConfigError, DataError
from mien.labels import FER7, FERPLUS8

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mien.labels import LabelSchema

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
    mode) or ``majority``; ``dedupe=true`` removes from train what also stands in valid or test.

    Valid and test keep all faces in both modes, with the share of all their votes as target:
    take ``with_labels()`` of them to score by the majority protocol. The few without any
    repeated vote for an emotion have their single votes as target, or equal shares.

    Raises:
        DataError: If no table is there, or one is not of this form.
        ConfigError: If an option is wrong, or other labels are asked for.
        MissingExtraError: If pyarrow is not installed.
    """
    fer2013 = request.choice("labels", "ferplus", "fer2013") == "fer2013"
    mode = request.choice("mode", "soft", "majority")
    schema = FER7 if fer2013 else FERPLUS8
    _check_request(request, schema, fer2013=fer2013)
    tables = _read_tables(request.path, ["fer2013"] if fer2013 else list(VOTE_COLUMNS))
    splits = np.concatenate([np.full(len(table), split) for split, table in tables.items()])
    if fer2013:
        class_ids = np.concatenate([_fer2013_ids(table) for table in tables.values()])
        targets = np.eye(len(schema), dtype=np.float32)[class_ids]
        keep = np.ones(len(splits), dtype=np.bool_)
    else:
        votes = np.concatenate([_votes(table) for table in tables.values()])
        class_ids = majority_class(votes)
        targets, keep = vote_targets(votes, class_ids, splits == "train", mode)
    images = arrow_images(
        [picture_column(request.path / f"{split}.parquet", t) for split, t in tables.items()]
    )
    copies, leaked = find_leaks(picture_contents(images, splits), splits)
    remove = request.flag("dedupe", default=True)
    warning = removal_warning(copies & keep, leaked, removed=remove)
    manifest = Manifest(
        request.spec, schema, images, targets, class_ids, splits, None, leaked,
        (warning,) if warning else (),
    )  # fmt: skip
    return manifest.select(keep & ~copies if remove else keep)


def _check_request(request: ReadRequest, schema: LabelSchema, *, fer2013: bool) -> None:
    if fer2013 and "mode" in request.options:
        raise ConfigError(
            "mode= chooses by votes, which labels=fer2013 does not use",
            subject=f"{request.spec}:",
            hint="Leave one of the two out.",
        )
    if request.labels is not None and request.labels != schema:
        raise ConfigError(
            f"has the labels of {schema.name!r}, but {request.labels.name!r} is asked for",
            subject=request.spec,
            hint="Leave the labels out; labels=fer2013 gives 'fer7'.",
        )


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
                f"has rows without a value in {', '.join(empty)}; fill them", subject=path
            )
        if len(table):
            tables[split] = table
    if not tables:
        raise DataError(
            (
                "has no faces: train.parquet, valid.parquet and test.parquet are read, and at "
                "least one must be there and hold rows"
            ),
            subject=folder,
        )
    return tables


def _votes(table: Any) -> NDArray[np.int64]:
    return np.stack([table[name].to_numpy() for name in VOTE_COLUMNS], axis=1).astype(np.int64)


def _fer2013_ids(table: Any) -> NDArray[np.int64]:
    encoded = table["fer2013"].combine_chunks().dictionary_encode()
    ids = np.array([FER7.index(name) for name in encoded.dictionary.to_pylist()], np.int64)
    taken: NDArray[np.int64] = ids[encoded.indices.to_numpy()]
    return taken


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
