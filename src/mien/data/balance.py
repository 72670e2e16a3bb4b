"""What a dataset's counts tell before anything is trained: rare classes, shifts, too few faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.reporting.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: How many times as many faces as the rarest class has the commonest one before it is said.
RATIO = 4.0
#: Faces of a class below which a network hardly learns it, and below which a score is a guess.
FEW = {"train": 50, "valid": 20, "test": 20}
#: By how many standard errors, and by what share of the faces, a class must differ.
_ERRORS, _SHIFT = 4.0, 0.05
#: Half of the widest 95 % interval of an accuracy (Wald's, at 0.5) that needs no remark.
_HALF_WIDTH = 0.05


def balance_remarks(counts: Mapping[str, Mapping[str, int]]) -> list[tuple[str, str]]:
    """Returns what to know about the counts of a dataset.

    Args:
        counts: Faces by split and label, see :meth:`mien.data.Manifest.counts`.

    Returns:
        Pairs of a kind and a line: ``imbalance`` (a class of train has four times as many faces as
        another), ``share_shift`` (a class's shares of train and of another split differ by 5
        points and by four standard errors of a difference of shares), and ``few_faces`` (under 50
        of a class in train, under 20 in valid or test, or so few in valid or test that the 95 %
        interval of an accuracy of one half is wider than 5 points to each side: 384 or fewer).

    >>> for kind, line in balance_remarks({"train": {"happy": 900, "sad": 90}}):
    ...     print(kind, "-", line)
    imbalance - train has 10.0 times as many faces of happy (900) as of sad (90)
    """
    return [*_imbalance(counts), *_shifts(counts), *_few(counts)]


def _present(found: Mapping[str, int]) -> dict[str, int]:
    return {label: count for label, count in found.items() if count}


def _imbalance(counts: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[str, str]]:
    found = _present(counts.get("train", {}))
    if not found:
        return
    most, least = max(found, key=found.__getitem__), min(found, key=found.__getitem__)
    if (ratio := found[most] / found[least]) >= RATIO:
        more, fewer = (f"{label} ({found[label]:,})" for label in (most, least))
        yield "imbalance", f"train has {ratio:.1f} times as many faces of {more} as of {fewer}"


def _shifts(counts: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[str, str]]:
    train = counts.get("train", {})
    n = sum(train.values())
    for split, found in counts.items():
        m = sum(found.values())
        if split == "train" or not n or not m:
            continue
        for label in found:
            a, b = train[label] / n, found[label] / m
            pooled = (train[label] + found[label]) / (n + m)
            error = float(np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m)))
            if abs(a - b) >= _SHIFT and abs(a - b) >= _ERRORS * error:
                yield "share_shift", f"{label} is {a:.0%} of train and {b:.0%} of {split}"


def _few(counts: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[str, str]]:
    for split, found in counts.items():
        few = {label: n for label, n in _present(found).items() if n < FEW[split]}
        if few:
            shown = ", ".join(f"{label} {n}" for label, n in few.items())
            yield "few_faces", f"{split} has fewer than {FEW[split]} faces of a class: {shown}"
        n = sum(found.values())
        if split != "train" and n and (half := 1.96 * 0.5 / np.sqrt(n)) > _HALF_WIDTH:
            has = f"{split} has {counted(n, 'face', 'faces')}"
            within = f"within {100 * half:.0f} points at best"
            yield "few_faces", f"{has}: an accuracy on it is known to {within}"
