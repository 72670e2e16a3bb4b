"""Sizes, brightness, contrast and sharpness of pictures, and those that stand apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.data.inspection.duplicates import FLAT_CONTRAST
from mien.data.inspection.finding import Finding
from mien.reporting.text import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.data.inspection.scan import Scan

#: Measure -> smallest distance from the quartiles of an outlier, on the scale of ``_axes``.
_MIN = {"size": 0.9, "brightness": 50.0, "contrast": 30.0, "sharpness": 3.0}
_WORDS = {
    "size": ("small", "large"),
    "brightness": ("dark", "bright"),
    "contrast": ("pale", "harsh"),
    "sharpness": ("blurred", "sharp or noisy"),
}


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
    flat = scan.readable & (scan.contrast < FLAT_CONTRAST)
    found = _listed(
        "flat", np.flatnonzero(flat), "of one colour", [f"contrast {v:.1f}" for v in scan.contrast]
    )
    usable = scan.readable & ~flat
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
            at = at[np.argsort(order[at], kind="stable")]
            lines = [f"{word}: {value}" for value in values_of[name]]
            found += _listed(f"{name}_{end}", at, f"unusually {word}", lines)
    return found


def _listed(kind: str, at: NDArray[np.int64], what: str, lines: list[str]) -> list[Finding]:
    """Returns a finding on the pictures at these positions, none where there are none."""
    if not len(at):
        return []
    title = f"{counted(len(at), 'picture is', 'pictures are')} {what}"
    groups = tuple((index,) for index in at.tolist())
    return [Finding(kind, title, groups, tuple(lines[index] for index in at.tolist()))]


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
            found.append(Finding(kind, title, groups, lines))
    return found
