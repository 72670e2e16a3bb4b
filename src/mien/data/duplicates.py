"""Byte-identical pictures that stand in train and in valid or test at the same time."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

    from mien.data.stores import SizedImages


def find_leaks(
    contents: Sequence[Hashable], splits: NDArray[np.str_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Finds pictures that train shares with valid or test.

    Args:
        contents: N values that are equal when two pictures are (bytes or their digests).
        splits: (N,) of ``"train"``, ``"valid"``, ``"test"``.

    Returns:
        Two (N,) bool masks: train pictures that also stand in valid or test, and valid or test
        pictures that also stand in train.

    >>> import numpy as np
    >>> copies, leaked = find_leaks([b"a", b"b", b"a"], np.array(["train", "train", "valid"]))
    >>> copies.tolist(), leaked.tolist()
    ([True, False, False], [False, False, True])
    """
    in_train = (splits == "train").tolist()
    train = {content for content, inside in zip(contents, in_train, strict=True) if inside}
    held = {content for content, inside in zip(contents, in_train, strict=True) if not inside}
    both = train & held
    shared = np.fromiter((content in both for content in contents), np.bool_, len(contents))
    return shared & (splits == "train"), shared & (splits != "train")


def picture_contents(images: SizedImages, splits: NDArray[np.str_]) -> list[Hashable]:
    """Returns a value for each picture that is equal for equal bytes in train and outside.

    Pictures are compared by size first; only sizes that stand in train and in valid or test are
    read, so that a large folder stays cheap. Copies within one split are not told of.

    Args:
        images: N pictures.
        splits: (N,) names of splits.

    Raises:
        DataError: If a picture is gone or cannot be read.
    """
    sizes = [images.size(index) for index in range(len(images))]
    in_train = (splits == "train").tolist()
    train = {size for size, inside in zip(sizes, in_train, strict=True) if inside}
    held = {size for size, inside in zip(sizes, in_train, strict=True) if not inside}
    both = train & held
    # The index makes a picture that cannot have a copy across splits equal to nothing else.
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
    return f"{found} and stay in train (dedupe=false): scores on those are not honest."


def shared_groups_warning(groups: NDArray[np.str_], splits: NDArray[np.str_]) -> str:
    """Returns a sentence on groups that stand in train and in valid or test, or an empty one.

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
        "train: scores on them say little about new faces. Split by group to be sure."
    )
