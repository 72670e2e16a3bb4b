"""From a table of clips to a difference with its uncertainty.

Usage: ``mien predict clips/ --every 1 --format csv > clips.csv``, then
``python examples/clips/compare.py clips.csv --person '(p\\d+)_' --condition '_([ab])_'``.

The two patterns find person and condition in the name of a clip. What varies independently is the
person, not the frame or the clip: each person counts once, with one mean per condition. The
interval is a bootstrap over people, the p-value that of flipping the sign of their differences.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections import defaultdict
from pathlib import Path

import numpy as np

DRAWS = 10_000


def person_means(
    path: Path, label: str, person: re.Pattern[str], condition: re.Pattern[str]
) -> tuple[dict[tuple[str, str], float], int]:
    """Returns a label's mean probability by person and condition, and the clips without face."""
    clips: dict[str, list[float]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            clips[row["source"]] += [float(row[f"p_{label}"])] if row["emotion"] else []
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    for source, values in clips.items():
        name = Path(source).name
        who, what = person.search(name), condition.search(name)
        if who is None or what is None:
            raise SystemExit(f"error: no person or condition in the name {name}")
        if values:
            groups[who[1], what[1]].append(float(np.mean(values)))
    empty = sum(not values for values in clips.values())
    return {key: float(np.mean(values)) for key, values in groups.items()}, empty


def compare(
    differences: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> tuple[float, float, float]:
    """Returns the ends of the 95 % bootstrap interval of the mean, and a two-sided p-value."""
    rng = np.random.default_rng(0)
    n = len(differences)
    means = differences[rng.integers(0, n, (DRAWS, n))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    flipped = (rng.choice((-1, 1), (DRAWS, n)) * differences).mean(axis=1)
    extreme = np.abs(flipped) >= abs(differences.mean()) - 1e-12
    return float(low), float(high), float((1 + extreme.sum()) / (1 + DRAWS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--label", default="happiness")
    parser.add_argument("--person", type=re.compile, required=True)
    parser.add_argument("--condition", type=re.compile, required=True)
    given = parser.parse_args()
    means, empty = person_means(given.table, given.label, given.person, given.condition)
    people = sorted({who for who, _ in means})
    conditions = sorted({what for _, what in means})
    if len(conditions) != 2:
        raise SystemExit(f"error: two conditions are compared, and the names have {conditions}")
    first, second = conditions
    both = [who for who in people if (who, first) in means and (who, second) in means]
    if len(both) < 2:
        raise SystemExit(f"error: two people with both conditions are needed, not {len(both)}")
    for what in conditions:
        values = [means[who, what] for who in both]
        spread = np.std(values, ddof=1)
        print(f"{what}: {given.label} {np.mean(values):.3f}, sd over people {spread:.3f}")
    differences = np.array([means[who, second] - means[who, first] for who in both])
    low, high, p = compare(differences)
    interval = f"95 % {low:+.3f} to {high:+.3f}"
    print(f"{second} - {first}: {differences.mean():+.3f} ({interval}), p = {p:.4f}")
    lost = len(people) - len(both)
    print(f"{len(both)} people; {lost} without both conditions; {empty} clips without a face")


if __name__ == "__main__":
    main()
