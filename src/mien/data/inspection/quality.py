"""Sizes, brightness, contrast and sharpness of pictures, and those that stand apart."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.data.inspection.copies import FLAT_CONTRAST
from mien.data.inspection.finding import Finding, counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.data.inspection.scan import Scan

#: Measure -> least distance from the quartiles that can be an outlier, on the scale of ``_axes``.
_MIN = {"size": 0.9, "brightness": 50.0, "contrast": 30.0, "sharpness": 3.0}
_WORDS = {
    "size": ("small", "large"),
    "brightness": ("dark", "bright"),
    "contrast": ("pale", "harsh"),
    "sharpness": ("blurred", "sharp or noisy"),
}
_QUANTILES = (0, 5, 25, 50, 75, 95, 100)


def _axes(scan: Scan) -> dict[str, NDArray[np.float64]]:
    """Returns each measure on a scale where distances mean the same everywhere, (N,) each."""
    with np.errstate(divide="ignore"):
        side = np.log2(np.sqrt(np.prod(scan.sizes.astype(np.float64), axis=1)))
    return {
        "size": side,
        "brightness": scan.brightness.astype(np.float64),
        "contrast": scan.contrast.astype(np.float64),
        "sharpness": np.log2(1 + scan.sharpness.astype(np.float64)),
    }


def outliers(scan: Scan) -> list[Finding]:
    """Returns pictures far outside the middle half of their dataset, by measure.

    A picture is an outlier beyond three times the interquartile range from a quartile (Tukey's
    "far out", Exploratory Data Analysis, 1977), and by no less than a distance that people see:
    nearly twice the side, 50 gray levels, eight times the variance of the Laplacian.
    """
    found = []
    readable = scan.readable
    flat = readable & (scan.contrast < FLAT_CONTRAST)
    if flat.any():
        at = np.flatnonzero(flat)
        lines = tuple(f"contrast {scan.contrast[i]:.1f}" for i in at)
        title = counted(len(at), "picture is", "pictures are") + " of one colour"
        found.append(Finding("flat", "fault", title, tuple((int(i),) for i in at), lines))
    usable = readable & ~flat
    if usable.sum() < 8:
        return found
    values_of = {
        "size": [f"{w}x{h} pixels" for w, h in scan.sizes.tolist()],
        "brightness": [f"mean {value:.0f}" for value in scan.brightness.tolist()],
        "contrast": [f"standard deviation {value:.0f}" for value in scan.contrast.tolist()],
        "sharpness": [f"Laplacian variance {value:.0f}" for value in scan.sharpness.tolist()],
    }
    for name, values in _axes(scan).items():
        low, high = np.percentile(values[usable], [25, 75])
        reach = max(3 * (high - low), _MIN[name])
        for end, word, outside, order in (
            ("low", _WORDS[name][0], usable & (values < low - reach), values),
            ("high", _WORDS[name][1], usable & (values > high + reach), -values),
        ):
            at = np.flatnonzero(outside)
            if len(at):
                at = at[np.argsort(order[at], kind="stable")]
                lines = tuple(f"{word}: {values_of[name][i]}" for i in at)
                title = counted(len(at), "picture is", "pictures are") + f" unusually {word}"
                groups = tuple((int(i),) for i in at)
                found.append(Finding(f"{name}_{end}", "note", title, groups, lines))
    return found


def problems(scan: Scan) -> list[Finding]:
    """Returns the files that are empty, no pictures, or damaged."""
    titles = {
        "unreadable": ("picture", "pictures", "cannot be decoded"),
        "empty": ("file is", "files are", "empty"),
        "not_picture": ("file has", "files have", "a picture's name and no picture inside"),
    }
    found = []
    for kind, (one, more, what) in titles.items():
        at = sorted(index for index, (what, _) in scan.problems.items() if what == kind)
        if at:
            lines = tuple(scan.problems[index][1] for index in at)
            groups = tuple((index,) for index in at)
            title = f"{counted(len(at), one, more)} {what}"
            found.append(Finding(kind, "fault", title, groups, lines))
    return found


def summary(scan: Scan) -> dict[str, Any]:
    """Returns quantiles of each measure and the most common sizes, as plain JSON types."""
    readable = scan.readable
    if not readable.any():
        return {}
    sizes = Counter(map(tuple, scan.sizes[readable].tolist()))
    measures = {
        "width": scan.sizes[:, 0],
        "height": scan.sizes[:, 1],
        "brightness": scan.brightness,
        "contrast": scan.contrast,
        "sharpness": scan.sharpness,
    }
    quantiles = {
        name: {
            f"p{q}": round(float(value), 2)
            for q, value in zip(
                _QUANTILES, np.percentile(values[readable], _QUANTILES), strict=True
            )
        }
        for name, values in measures.items()
    }
    return {
        "sizes": [[w, h, count] for (w, h), count in sizes.most_common(8)],
        "different_sizes": len(sizes),
        **quantiles,
    }
