"""Prediction sets and quality of faces, worked by hand."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.conformal import COVERAGE, MIN_FACES, ConformalThresholds, fit_conformal
from mien.errors import ConfigError
from mien.quality import (
    DESCRIPTIONS,
    QUALITY_FLAGS,
    QualityBounds,
    face_quality,
    fit_quality,
    warning,
)


def _two(true: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities (N, 2) whose first column is given."""
    return np.stack([true, 1 - true], axis=1)


@given(st.integers(1, 120), st.sampled_from([0.5, 0.8, 0.9, 0.95]), st.integers(0, 9))
def test_the_threshold_is_the_face_of_its_rank(count: int, coverage: float, seed: int) -> None:
    true = np.random.default_rng(seed).permutation(count) / (count + 1) + 0.0005
    fitted = fit_conformal(_two(true), np.zeros(count, int), coverage=coverage)
    rank = math.floor(round((1 - coverage) * (count + 1), 9))
    expected = np.sort(true)[rank - 1] if rank else 0.0
    assert fitted.thresholds[0] <= expected or not rank
    assert fitted.thresholds[0] == pytest.approx(expected, abs=2e-6)
    assert (fitted.coverage, fitted.faces) == (coverage, count)
    held = fitted.prediction_sets(_two(true))[:, 0]
    assert held.sum() == count - max(rank - 1, 0)


def test_nine_faces_of_ten_and_fifty_of_a_label() -> None:
    assert (COVERAGE, MIN_FACES) == (0.9, 50)
    true = np.linspace(0.1, 0.9, 50)
    probs = np.concatenate([_two(true), _two(np.full(49, 0.05))])
    ids = np.repeat([0, 1], [50, 49])
    fitted = fit_conformal(probs, ids)
    assert fitted.coverage == 0.9
    assert fitted.thresholds[0] == pytest.approx(true[4], abs=1e-6)  # the fifth of 51 places
    all_of_them = np.sort(probs[np.arange(99), ids])
    assert fitted.thresholds[1] == pytest.approx(all_of_them[9], abs=1e-6)
    fewer = fit_conformal(probs[1:], ids[1:])
    assert fewer.thresholds[0] == fewer.thresholds[1], "49 faces have no threshold of their own"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"thresholds": (-0.1, 0.5)}, "threshold must lie in 0..1"),
        ({"thresholds": (0.5, 1.1)}, "threshold must lie in 0..1"),
        ({"coverage": 0}, "coverage must lie between 0 and 1"),
        ({"coverage": 1}, "coverage must lie between 0 and 1"),
        ({"coverage": -0.1}, "coverage must lie between 0 and 1"),
        ({"coverage": 1.5}, "coverage must lie between 0 and 1"),
        ({"faces": -1}, "coverage must lie between 0 and 1"),
    ],
)
def test_numbers_out_of_range_are_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ConformalThresholds.from_dict(
            {"coverage": 0.9, "thresholds": [0.3, 0.4], "faces": 10, **values}
        )


def test_the_ends_of_the_range_are_fine_and_come_back() -> None:
    ends = ConformalThresholds(0.9, [0, 1], 0)  # type: ignore[arg-type]
    assert ends.thresholds == (0.0, 1.0)
    assert ConformalThresholds.from_dict(ends.to_dict()) == ends
    assert hash(ends)


@pytest.mark.parametrize("labels", [1, 3])
def test_sets_need_a_threshold_for_each_label(labels: int) -> None:
    fitted = ConformalThresholds(0.9, (0.3, 0.4), 10)
    words = f"the model has {labels} labels, but 2 thresholds"
    with pytest.raises(ConfigError, match=words):
        fitted.prediction_sets(np.full((1, labels), 0.5))


def test_a_probability_at_its_threshold_is_in_the_set() -> None:
    fitted = ConformalThresholds(0.9, (0.25, 0.75), 10)
    sets = fitted.prediction_sets(np.array([[0.25, 0.75], [0.2, 0.8], [0.5, 0.5]]))
    assert sets.tolist() == [[True, True], [False, True], [True, False]]
    assert sets.dtype == np.bool_


def test_no_faces_fit_nothing() -> None:
    with pytest.raises(ConfigError, match="no labelled faces"):
        fit_conformal(np.empty((0, 2)), np.empty(0, int))
    with pytest.raises(ConfigError, match="no faces to fit"):
        fit_quality(np.empty((0, 8, 8, 1), np.uint8))


# Quality


def test_light_contrast_and_sharpness_by_hand() -> None:
    crops = np.zeros((3, 4, 4, 3), np.uint8)
    crops[1, :, :2] = 200
    crops[2, 1, 1] = 90, 60, 30
    light, contrast, sharpness = face_quality(crops)
    assert light.tolist() == [0, 100, 60 / 16]
    assert contrast.tolist() == pytest.approx([0, 100, math.sqrt(60**2 / 16 - (60 / 16) ** 2)])
    # The Laplacian of the middle: 200 and -200 in each row of the second; 240, -60, -60, 0.
    spread = np.std([240, -60, -60, 0])
    expected = [0, 200 / 110, spread / (contrast[2] + 10)]
    assert sharpness.tolist() == pytest.approx(expected)


@given(st.integers(0, 99), st.integers(1, 3))
def test_quality_does_not_change_with_the_way_up(seed: int, channels: int) -> None:
    crops = np.random.default_rng(seed).integers(0, 256, (2, 6, 6, channels)).astype(np.uint8)
    for turned in (crops[:, ::-1], crops[:, :, ::-1], crops.transpose(0, 2, 1, 3)):
        for one, other in zip(face_quality(crops), face_quality(turned), strict=True):
            assert one == pytest.approx(other)


def test_each_bound_gives_its_flag_and_no_other() -> None:
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (1, 12, 12, 1)).astype(np.uint8)
    light, contrast, sharpness = (float(values[0]) for values in face_quality(crops))
    sides, clear = np.array([30.0]), np.array([False])
    at = {"min_side": 30.0, "min_light": light, "min_contrast": contrast}
    bounds = QualityBounds(**at, min_sharpness=sharpness)
    assert bounds.assess(crops, sides, ambiguous=clear) == [()], "at the bound is enough"
    for name, flag in zip((*at, "min_sharpness"), QUALITY_FLAGS[1:], strict=True):
        values = {**bounds.to_dict(), name: bounds.to_dict()[name] + 0.01}
        found = QualityBounds.from_dict(values).assess(crops, sides, ambiguous=clear)
        assert found == [(flag,)], name
    assert bounds.assess(crops, sides, ambiguous=~clear) == [("ambiguous",)]
    assert QualityBounds(300, 300, 300, 300).assess(crops, sides, ambiguous=~clear) == [
        QUALITY_FLAGS
    ]


def test_flags_and_their_words_are_fixed() -> None:
    assert QUALITY_FLAGS == ("ambiguous", "small", "dark", "flat", "blurred")
    assert set(DESCRIPTIONS) == set(QUALITY_FLAGS) - {"ambiguous"}
    assert QualityBounds().to_dict() == {
        "min_side": 24.0, "min_light": 0.0, "min_contrast": 0.0, "min_sharpness": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize("value", [-1, -1e-9, math.nan, math.inf])
@pytest.mark.parametrize("name", ["min_side", "min_light", "min_contrast", "min_sharpness"])
def test_bounds_are_finite_and_at_least_0(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match="must be finite and at least 0"):
        QualityBounds.from_dict({name: value})


def test_bounds_leave_one_face_of_two_hundred_outside() -> None:
    # 201 flat faces of light 0..200: the 0.005 quantile is the second of them.
    flat = np.repeat(np.arange(201, dtype=np.uint8), 16).reshape(-1, 4, 4, 1)
    fitted = fit_quality(flat)
    assert (fitted.min_light, fitted.min_contrast, fitted.min_sharpness) == (1.0, 0.0, 0.0)
    noise = np.random.default_rng(1).integers(0, 256, (50, 8, 8, 1)).astype(np.uint8)
    fitted = fit_quality(noise)
    for value, values, digits in zip(
        (fitted.min_light, fitted.min_contrast, fitted.min_sharpness),
        face_quality(noise),
        (2, 2, 4),
        strict=True,
    ):
        assert value == round(float(np.quantile(values, 0.005)), digits)
    assert fitted.min_side == 24.0


@pytest.mark.parametrize(
    ("found", "flags", "words"),
    [
        (["neutral", "fear"], (), ""),
        (["neutral", "fear"], ("ambiguous",), "uncertain: fear is also plausible"),
        (["neutral", "fear", "anger"], ("ambiguous",), "uncertain: fear, anger are also plausible"),
        (["neutral"], ("ambiguous",), "uncertain: no clear label"),
        ([], ("ambiguous",), "uncertain: no clear label"),
        (None, ("ambiguous", "dark"), "uncertain: no clear label; the face is dark"),
        (["fear"], ("small", "odd"), "uncertain: the face is small; odd"),
        (None, ("flat", "blurred"),
         "uncertain: the face has hardly any contrast; the face is blurred"),
    ],
)  # fmt: skip
def test_a_warning_says_why(found: list[str] | None, flags: tuple[str, ...], words: str) -> None:
    assert warning("neutral", found, flags) == words


def test_the_answer_is_no_other_label_however_its_text_was_made() -> None:
    made = "neutral!"[:-1]
    assert warning("neutral", [made, "fear"], ["ambiguous"]) == "uncertain: fear is also plausible"


def test_bounds_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        QualityBounds().min_side = 3.0  # type: ignore[misc]
