"""Leakage between splits: byte-identical pictures, and groups, on both sides of train."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

    from mien.data.image_stores import ImageStore


def find_leaks(
    contents: Sequence[Hashable], splits: NDArray[np.str_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Finds pictures that train shares with valid or test.

    Args:
        contents: N values that are equal when two pictures are (bytes or their digests).
        splits: (N,) of ``"train"``, ``"valid"``, ``"test"``.

    Returns:
        Two (N,) bool masks: train pictures that are also in valid or test, and valid or test
        pictures that are also in train.

    >>> copies, leaked = find_leaks([b"a", b"b", b"a"], np.array(["train", "train", "valid"]))
    >>> copies.tolist(), leaked.tolist()
    ([True, False, False], [False, False, True])
    """
    train = splits == "train"
    both = _in_both(contents, train)
    shared = np.fromiter((content in both for content in contents), np.bool_, len(contents))
    return shared & train, shared & ~train


def _in_both(values: Sequence[Hashable], train: NDArray[np.bool_]) -> set[Hashable]:
    pairs = list(zip(values, train.tolist(), strict=True))
    return {value for value, inside in pairs if inside} & {
        value for value, inside in pairs if not inside
    }


def picture_contents(images: ImageStore, splits: NDArray[np.str_]) -> list[Hashable]:
    """Returns a value for each picture that is equal for equal bytes in train and outside.

    Only pictures whose size occurs in train and in valid or test are read, so that a large folder
    stays cheap; every other picture gets a value of its own.

    Args:
        images: N pictures.
        splits: (N,) names of splits.

    Raises:
        DataError: If a picture is gone or cannot be read.
    """
    sizes = [images.size(index) for index in range(len(images))]
    both = _in_both(sizes, splits == "train")
    return [
        hashlib.blake2b(images.read(index), digest_size=16).digest() if size in both else index
        for index, size in enumerate(sizes)
    ]


def removal_warning(copies: NDArray[np.bool_], leaked: NDArray[np.bool_], *, removed: bool) -> str:
    """Returns a sentence on copies across splits, empty when there are none.

    Args:
        copies: (N,) bool, the train pictures concerned.
        leaked: (N,) bool, the valid and test pictures concerned.
        removed: Whether the copies are taken out of train.
    """
    if not copies.any():
        return ""
    found = (
        f"{int(copies.sum())} train pictures are byte-identical to "
        f"{int(leaked.sum())} valid or test pictures"
    )
    if removed:
        return f"{found} and were removed from train."
    return f"{found} and stay in train (dedupe=false): scores on these are too good."


def shared_groups_warning(groups: NDArray[np.str_], splits: NDArray[np.str_]) -> str:
    """Returns a sentence on groups in train and in valid or test, empty when there are none.

    Args:
        groups: (M,) subject or source picture.
        splits: (M,) names of splits, as the data gives them.
    """
    train = splits == "train"
    shared = ~train & np.isin(groups, groups[train])
    if not shared.any():
        return ""
    return (
        f"{int(shared.sum())} valid or test pictures share a subject or source picture with "
        "train: scores on them tell little about new faces. Split by group to be sure."
    )
