"""Colours of labels are told apart, also by people who see fewer of them."""

from __future__ import annotations

import numpy as np
import pytest

from mien.labels import FERPLUS8
from mien.reporting.theme import CLASS_COLORS, DARK, LIGHT, series_style
from mien.results.drawing import PALETTE, css_color

#: What the colour-blind see, on linear RGB: Machado, Oliveira and Fernandes (2009), severity 1.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}  # fmt: skip
#: Linear sRGB to CIE XYZ (D65), and its white.
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
     [0.0193339, 0.1191920, 0.9503041]]
)  # fmt: skip
WHITE = XYZ.sum(axis=1)


def _linear(colors: list[str]) -> np.ndarray:
    shares = np.array([[int(c[at : at + 2], 16) for at in (1, 3, 5)] for c in colors]) / 255
    linear: np.ndarray = np.where(
        shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4
    )
    return linear


def _lab(linear: np.ndarray) -> np.ndarray:
    """Linear sRGB (N, 3) to CIELAB."""
    shares = np.clip(linear, 0, 1) @ XYZ.T / WHITE
    f = np.where(shares > 216 / 24389, np.cbrt(shares), (24389 / 27 * shares + 16) / 116)
    return np.stack(
        [116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1
    )


def _distances(colors: list[str], deficiency: str) -> np.ndarray:
    lab = _lab(_linear(colors) @ np.array(DEFICIENCIES[deficiency]).T)
    distances: np.ndarray = np.linalg.norm(lab[:, None] - lab[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    return distances


def test_distance_is_that_of_the_book() -> None:
    assert _distances(["#000000", "#ffffff"], "none")[0, 1] == pytest.approx(100, abs=0.01)
    # L*, a*, b* of sRGB's red are 53.24, 80.09 and 67.20.
    assert _lab(_linear(["#ff0000"]))[0] == pytest.approx([53.24, 80.09, 67.20], abs=0.02)


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_classes_of_a_report_are_told_apart(deficiency: str) -> None:
    colors = list(CLASS_COLORS[: len(FERPLUS8)])
    distances = _distances(colors, deficiency)
    assert distances.min() > 26
    assert distances[FERPLUS8.index("disgust"), FERPLUS8.index("contempt")] > 29


@pytest.mark.parametrize(("count", "least"), [(2, 80), (3, 40), (4, 29), (6, 27)])
def test_first_series_are_the_farthest_apart(count: int, least: float) -> None:
    colors = [series_style(at)[0] for at in range(count)]
    assert min(_distances(colors, each).min() for each in DEFICIENCIES) > least


def test_series_of_one_colour_have_other_markers() -> None:
    assert len({series_style(at) for at in range(20)}) == 20
    assert {series_style(at)[0] for at in range(10)} == set(CLASS_COLORS)


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_labels_in_pictures_are_told_apart(deficiency: str) -> None:
    distances = _distances([css_color(color) for color in PALETTE], deficiency)
    assert distances.min() > 14
    assert distances[FERPLUS8.index("disgust"), FERPLUS8.index("contempt")] > 15


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_classes_are_visible_on_the_paper(theme: object) -> None:
    paper, *colors = _linear([theme.paper, *CLASS_COLORS[:8]]) @ [0.2126, 0.7152, 0.0722]  # type: ignore[attr-defined]
    for color in colors:
        low, high = sorted((paper, color))
        assert (high + 0.05) / (low + 0.05) > 2.6
