"""Whether a model is equally good for groups of people: scores, gaps, a permutation test."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien import metrics
from mien.errors import ConfigError, DataError, suggest

if TYPE_CHECKING:
    from pathlib import Path

    from mien.arrays import F64, I64, Bools, Texts
    from mien.data import Manifest
    from mien.evaluation.scores import Evaluation

__all__ = [
    "MIN_FACES",
    "PERMUTATIONS",
    "RESAMPLES",
    "GroupReport",
    "GroupScores",
    "by_group",
    "holm",
    "newcombe_interval",
    "permutation_test",
    "read_groups",
]

#: Groups of fewer faces are counted, but not scored: their intervals would say nothing.
MIN_FACES = 20
PERMUTATIONS = 2000
RESAMPLES = 500


@dataclass(frozen=True)
class GroupScores:
    """One group of n faces compared with all others.

    Args:
        name: Value of the column.
        scores: As :meth:`Evaluation.scores`, with ``macro_f1_ci`` by bootstrap.
        recall: By label; None for labels that the group has no face of.
        expected: The accuracy of a model that treats all groups alike, on this group's labels.
        gap: Accuracy minus that of all other faces.
        gap_ci: Its 95 % interval (Newcombe).
        p_value: Chance of a hit count so far from the expected one, if groups made no difference.
        p_holm: The same, corrected for the number of groups (Holm 1979).
    """

    name: str
    scores: dict[str, Any]
    recall: dict[str, float | None]
    expected: float
    gap: float
    gap_ci: tuple[float, float]
    p_value: float
    p_holm: float

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types."""
        return {
            "group": self.name, **self.scores, "recall": self.recall,
            "expected_accuracy": self.expected, "gap": self.gap, "gap_ci": list(self.gap_ci),
            "p_value": self.p_value, "p_holm": self.p_holm,
        }  # fmt: skip


@dataclass(frozen=True)
class GroupReport:
    """What differs between groups.

    Args:
        column: What the faces are grouped by.
        groups: The groups, largest first.
        left_out: Faces by value that were not compared; "" for those without a value.
        p_value: Chance of hit counts so far from the expected ones in all groups together.
        permutations: Draws behind the p-values.
    """

    column: str
    groups: tuple[GroupScores, ...]
    left_out: dict[str, int]
    p_value: float
    permutations: int

    @property
    def widest(self) -> tuple[GroupScores, GroupScores, tuple[float, float]]:
        """The best and the worst group by accuracy, and the interval of their difference."""
        ranked = sorted(self.groups, key=lambda group: -group.scores["accuracy"])
        ends = [group.scores for group in (ranked[0], ranked[-1])]
        counts = [number for m in ends for number in (round(m["accuracy"] * m["n"]), m["n"])]
        return ranked[0], ranked[-1], newcombe_interval(*counts)

    def sentence(self) -> str:
        """Returns the finding in words."""
        best, worst, (low, high) = self.widest
        gap, left = best.scores["accuracy"] - worst.scores["accuracy"], sum(self.left_out.values())
        text = (
            f"The widest gap is {gap * 100:.1f} points ({low * 100:.1f} to {high * 100:.1f}), "
            f"between {best.name} and {worst.name}; permutation test over all groups, given the "
            f"labels: p = {self.p_value:.3f} ({self.permutations} draws)."
        )
        return text + f" {left} faces of small groups or without a value are left out." * bool(left)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types."""
        best, worst, interval = self.widest
        widest = {
            "best": best.name, "worst": worst.name, "gap_ci": list(interval),
            "gap": best.scores["accuracy"] - worst.scores["accuracy"],
        }  # fmt: skip
        groups = [group.to_dict() for group in self.groups]
        return {**vars(self), "groups": groups, "widest_gap": widest}


def newcombe_interval(
    hits_a: int, n_a: int, hits_b: int, n_b: int, *, confidence: float = 0.95
) -> tuple[float, float]:
    """Returns the interval of the difference of two independent shares, a minus b.

    Method 10 of Newcombe, "Interval estimation for the difference between independent proportions"
    (Statistics in Medicine 17, 1998), from the Wilson intervals of both.

    Raises:
        DataError: If a group is empty, or has more hits than faces.

    >>> tuple(round(x, 4) for x in newcombe_interval(56, 70, 48, 80))
    (0.0524, 0.3339)
    """
    low_a, high_a = metrics.wilson_interval(hits_a, n_a, confidence)
    low_b, high_b = metrics.wilson_interval(hits_b, n_b, confidence)
    a, b = hits_a / n_a, hits_b / n_b
    return a - b - math.hypot(a - low_a, high_b - b), a - b + math.hypot(high_a - a, b - low_b)


def holm(p_values: list[float]) -> list[float]:
    """Returns p-values corrected for their number (Holm 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[at]))
        corrected[at] = largest
    return corrected


def permutation_test(
    right: Bools, class_ids: I64, codes: I64, *, permutations: int = PERMUTATIONS, seed: int = 0
) -> tuple[float, list[float], F64]:
    """Tests whether the model is right equally often in all groups.

    Groups are dealt anew among the faces of one true class at a time, so that a group is not
    blamed for having more of the hard classes.

    Args:
        right: (N,), whether the model is.
        class_ids: (N,), the true classes.
        codes: (N,), the groups, 0..G-1, none of them empty.
        permutations: How often to deal.
        seed: Seed of the draws.

    Returns:
        The p-value of all groups together, that of each, and the hits expected of each, (G,).

    Raises:
        ConfigError: If ``permutations`` is below 1.
    """
    if permutations < 1:
        raise ConfigError(f"permutations must be at least 1; got {permutations}")
    rng = np.random.default_rng(seed)
    sizes = np.bincount(codes)
    expected, members = np.zeros(len(sizes)), []
    for class_id in np.unique(class_ids):
        rows = np.flatnonzero(class_ids == class_id)
        members.append((codes[rows], right[rows]))
        expected += np.bincount(codes[rows], minlength=len(sizes)) * right[rows].mean()
    distance = np.abs(np.bincount(codes[right], minlength=len(sizes)) - expected)
    extreme, overall = np.ones(len(sizes)), 1
    for _ in range(permutations):
        hits = np.zeros(len(sizes))
        for inside, hit in members:
            hits += np.bincount(rng.permutation(inside)[hit], minlength=len(sizes))
        drawn = np.abs(hits - expected)
        # A hair of room, since the expected hits are rounded sums.
        extreme += drawn >= distance - 1e-9
        overall += int((drawn**2 / sizes).sum() >= (distance**2 / sizes).sum() - 1e-9)
    chances = (extreme / (permutations + 1)).tolist()
    return overall / (permutations + 1), chances, expected


def by_group(
    evaluation: Evaluation, values: Texts, column: str, *, permutations: int = PERMUTATIONS
) -> GroupReport:
    """Scores a model group by group.

    Args:
        evaluation: N faces.
        values: (N,), the group of each; empty where it is not known.
        column: What the values are.
        permutations: Draws of the test.

    Raises:
        DataError: If fewer than two groups have enough faces.
    """
    found = Counter(sorted(values.tolist()))
    kept = [name for name, count in found.most_common() if name and count >= MIN_FACES]
    if len(kept) < 2:
        listed = ", ".join(f"{name or 'no value'} ({n})" for name, n in list(found.items())[:8])
        reason = f"needs two groups of at least {MIN_FACES} labelled faces; there are {listed}"
        hint = "Take another column or split."
        raise DataError(reason, subject=f"--group-by {column}", hint=hint)
    inside = np.isin(values, kept)
    order = {name: code for code, name in enumerate(kept)}
    codes = np.array([order[name] for name in values[inside].tolist()], np.int64)
    right = (evaluation.predicted == evaluation.class_ids)[inside]
    overall, chances, expected = permutation_test(
        right, evaluation.class_ids[inside], codes, permutations=permutations
    )
    groups, corrected = [], holm(chances)
    for code, name in enumerate(kept):
        hits, n = int(right[codes == code].sum()), found[name]
        others = int(right.sum()) - hits, len(right) - n
        scores, recall = _scores(evaluation, values == name)
        groups.append(
            GroupScores(
                name, scores, recall, float(expected[code] / n), hits / n - others[0] / others[1],
                newcombe_interval(hits, n, *others), chances[code], corrected[code],
            )
        )  # fmt: skip
    left_out = {name: count for name, count in found.items() if name not in order}
    return GroupReport(column, tuple(groups), left_out, overall, permutations)


def _scores(evaluation: Evaluation, mask: Bools) -> tuple[dict[str, Any], dict[str, float | None]]:
    """Returns the headline scores of some faces, and the recall of each label."""
    true, predicted = evaluation.class_ids[mask], evaluation.predicted[mask]
    found = metrics.per_class(metrics.confusion_matrix(true, predicted, len(evaluation.labels)))
    shares = [float(x) if n else None for x, n in zip(found.recall, found.support, strict=True)]
    recall = dict(zip(evaluation.labels, shares, strict=True))
    interval = evaluation.interval(metrics.macro_f1, mask, resamples=RESAMPLES)
    return {**evaluation.scores(mask), "macro_f1_ci": list(interval)}, recall


def read_groups(manifest: Manifest, column: str, *, table: Path | None = None) -> Texts:
    """Returns the value of a column for each picture of a dataset.

    ``subject_id`` is what the dataset itself knows of its groups. Any other column stands in the
    table that the dataset was read from (``csv:``), in its ``metadata.csv`` (``folder:``), or in
    a table given, with a ``file_name`` column of the keys that ``predictions.csv`` shows.

    Args:
        manifest: N pictures.
        column: Name of the column.
        table: A CSV file; None: the dataset's own.

    Returns:
        (N,), empty where the table has no value.

    Raises:
        DataError: If there is no such table or column, or it names none of the pictures.
    """
    from mien.data.readers.csvfile import METADATA, read_table
    from mien.data.registry import parse_spec

    if column == "subject_id" and table is None and manifest.groups is not None:
        return manifest.groups
    path = table
    if path is None and manifest.sources is None:
        kind, source, _ = parse_spec(manifest.source)
        path = {"csv": source, "folder": source / METADATA}.get(kind)
    if path is None or not path.is_file():
        reason = f"needs a table with that column, and {manifest.source} has none"
        hint = "Give one with --group-table FILE.csv: file_name and your columns."
        raise DataError(reason, subject=f"--group-by {column}", hint=hint)
    found = read_table(path)
    name_at = found.find("file_name")
    folded = [name.casefold() for name in found.header]
    if name_at is None or column.casefold() not in folded:
        missing = column if name_at is not None else "file_name"
        raise DataError(
            f"has no column {missing!r}", subject=path, hint=suggest(missing, found.header)
        )
    cells = found.column(folded.index(column.casefold()))
    known = dict(zip(found.column(name_at), cells, strict=True))
    keys = [manifest.images.key(index) for index in range(len(manifest))]
    if not any(key in known for key in keys):
        reason = "names none of the pictures of the dataset"
        hint = f"Its file_name must be like {keys[0]!r}; it is {next(iter(known))!r}."
        raise DataError(reason, subject=path, hint=hint)
    return np.array([known.get(key, "") for key in keys], dtype=np.str_)
