"""Bars and histograms as inline SVG and HTML; colours come from the page's style sheet."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_WIDTH, _HEIGHT = 260, 90
_BINS = 40


def split_bars(table: Mapping[str, Mapping[str, int]], label: str) -> str:
    """Returns a bar for each split: the share that a class has in it.

    Args:
        table: Pictures by split and label.
        label: The class.
    """
    most = max(
        (n / max(sum(counts.values()), 1) for counts in table.values() for n in counts.values()),
        default=1.0,
    )
    bars = []
    for split, counts in table.items():
        share = counts[label] / max(sum(counts.values()), 1)
        width = 100 * share / max(most, 1e-9)
        bars.append(
            f'<div class="bar"><i class="{html.escape(split)}" style="width:{width:.1f}%"></i>'
            f"<span>{share:.1%}</span></div>"
        )
    return "".join(bars)


def histogram(title: str, values: NDArray[Any], *, log: bool = False) -> str:
    """Returns a histogram with the lowest, middle and highest value written below.

    Args:
        title: What is counted.
        values: (N,) numbers.
        log: Make the steps of equal ratio.
    """
    shown = np.log2(1 + values.astype(np.float64)) if log else values.astype(np.float64)
    low, high = float(shown.min()), float(shown.max())
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    counts, _ = np.histogram(shown, bins=_BINS, range=(low, high))
    step = _WIDTH / _BINS
    tallest = max(int(counts.max()), 1)
    rects = "".join(
        f'<rect x="{at * step:.1f}" y="{_HEIGHT - h:.1f}" width="{step - 1:.1f}" height="{h:.1f}"/>'
        for at, n in enumerate(counts)
        # Few pictures far out are what a histogram is looked at for: never thinner than a line.
        if n and (h := max(_HEIGHT * n / tallest, 1.5))
    )
    middle = float(np.median(values))
    return (
        f'<figure class="chart"><figcaption>{html.escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(title)}">'
        f'{rects}</svg><div class="ends"><span>{_number(float(values.min()))}</span>'
        f"<span>median {_number(middle)}</span><span>{_number(float(values.max()))}</span></div>"
        "</figure>"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.1f}"
