"""What came out of a training, in lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mien.evaluation.findings import biggest_confusions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


def describe_end(
    report: Mapping[str, Any], history: Sequence[Mapping[str, float]], best: int, output: Path
) -> Iterator[str]:
    """Yields lines on what was learned: best epoch, classes, confusions, and what to type next.

    Args:
        report: ``eval/valid.json`` of the run.
        history: Rows of ``metrics.csv``.
        best: Position of the epoch whose weights the run keeps.
        output: The run directory.
    """
    number = int(history[best]["epoch"])
    yield f"best epoch {number} of {len(history)}"
    confusion = report["confusion"]
    labels, counts = tuple(confusion["labels"]), np.array(confusion["counts"])
    width = max(map(len, labels), default=0)
    yield f"{'class':<{width}} {'faces':>6} {'recall':>7} {'precision':>9} {'F1':>6}"
    for label, row in report["per_class"].items():
        if not row["support"]:
            continue
        yield (
            f"{label:<{width}} {row['support']:>6,} {row['recall']:>7.1%} {row['precision']:>9.1%} "
            f"{row['f1']:>6.3f}"
        )
    pairs = biggest_confusions(counts, labels, limit=3)
    yield from (f"{'most confused: ' if not at else ' ' * 15}{p}" for at, p in enumerate(pairs))
    yield f"next: mien predict photo.jpg --model {output}"
    yield f"      mien evaluate --model {output} -d DATA --report {output.name}.html"
    yield f"      mien export {output} --format int8-static -d DATA -o small"
