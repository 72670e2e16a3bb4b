from __future__ import annotations

import numpy as np
import pytest

from mien import ConfigError, InputError, ModelError
from mien.explanation import Classifier, activation_maps, class_coefficients, resize_maps
from mien.explanation.activation import label_columns
from mien.explanation.sheets import colour_table, paint_maps
from mien.hub import read_model_folder
from mien.labels import FERPLUS8, HES3, get_schema
from mien.metrics import softmax

LAYER = Classifier(np.array([[1, 2], [-1, 0.5]], np.float32), np.array([0.5, 0.0], np.float32))
FEATURES = np.array([[[[1, 0], [2, 1]], [[0, 3], [1, 0]]]], np.float32)  # (1, 2, 2, 2)


def test_map_by_hand() -> None:
    first = activation_maps(FEATURES, LAYER, np.array([[1.0, 0.0]]))
    assert first.tolist() == [[[1.0, 6.0], [4.0, 1.0]]]
    second = activation_maps(FEATURES, LAYER, np.array([[0.0, 1.0]]))
    assert second.tolist() == [[[0.0, 1.5], [0.0, 0.0]]]  # -1, 1.5, -1.5 and -1 before the cut


def test_logits_that_follow_from_the_features_are_accepted_and_others_refused() -> None:
    logits = np.array([[3.5, -0.5]], np.float32)  # mean of the maps plus the bias
    activation_maps(FEATURES, LAYER, np.ones((1, 2)), logits)
    with pytest.raises(ModelError, match="pooling"):
        activation_maps(FEATURES, LAYER, np.ones((1, 2)), logits + 1)


def test_features_of_another_size_are_refused() -> None:
    with pytest.raises(ModelError, match="linear layer of 2"):
        activation_maps(FEATURES[:, :1], LAYER, np.ones((1, 2)))


def test_coefficients_are_the_gradient_of_the_mapped_probability() -> None:
    config = read_model_folder().config
    fer7 = get_schema("fer7")
    logits = np.random.default_rng(0).normal(0, 2, (3, 8)).astype(np.float32)
    columns = np.array([fer7.index("anger")] * 3)
    found = class_coefficients(logits, columns, config, fer7)
    assert found.sum(axis=1) == pytest.approx(np.ones(3))
    # Anger of fer7 is anger, and 47 / 119 of contempt, of ferplus8.
    probs = softmax(logits, temperature=config.temperature)
    contempt, anger = FERPLUS8.index("contempt"), FERPLUS8.index("anger")
    expected = 47 / 119 * probs[:, contempt] / probs[:, anger]
    assert found[:, contempt] / found[:, anger] == pytest.approx(expected)
    assert found[:, FERPLUS8.index("fear")].tolist() == [0.0] * 3


def test_coefficients_survive_impossible_logits() -> None:
    config = read_model_folder().config
    logits = np.array([[1e4, 0, 0, 0, 0, 0, 0, 0]], np.float32)
    found = class_coefficients(logits, np.array([HES3.index("sad")]), config, HES3)
    assert found[0, FERPLUS8.index("sadness")] == 1.0


def test_columns_are_the_top_ones_or_the_one_asked_for() -> None:
    probs = np.array([[0.2, 0.5, 0.3], [0.6, 0.2, 0.2]])
    assert label_columns(probs, None, HES3).tolist() == [1, 0]
    assert label_columns(probs, "sadness", HES3).tolist() == [2, 2]
    with pytest.raises(ConfigError, match="happy"):
        label_columns(probs, "hapy", HES3)


def test_resized_maps_peak_at_one_and_empty_ones_stay_empty() -> None:
    maps = np.array([[[0.0, 3.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    out = resize_maps(maps, 8)
    assert out.shape == (2, 8, 8)
    assert out[0].max() == 1.0
    assert np.unravel_index(out[0].argmax(), (8, 8)) == (0, 6)
    assert not out[1].any()
    for bad in (np.full((1, 2, 2), np.nan), np.zeros((2, 2)), np.zeros((1, 0, 2))):
        with pytest.raises(InputError):
            resize_maps(bad, 8)


def test_paint_stays_inside_the_square_and_is_strongest_at_the_peak() -> None:
    picture = np.full((60, 80, 3), 128, np.uint8)
    heat = np.zeros((1, 4, 4))
    heat[0, 1, 2] = 5.0
    painted = paint_maps(picture, np.array([[10.0, 10.0, 50.0, 50.0]]), heat)
    change = np.abs(painted.astype(int) - 128).sum(axis=2)
    assert (picture == 128).all()
    assert not change[:, 50:].any()
    assert not change[50:].any()
    y, x = np.unravel_index(change.argmax(), change.shape)
    assert 20 <= y < 30
    assert 30 <= x < 40
    assert (colour_table()[0, 3], colour_table()[255, 3]) == (0, 184)


@pytest.mark.parametrize(
    "square", [[-30, -30, 30, 30], [60, 40, 140, 120], [-10, -10, 100, 100], [200, 200, 220, 220]]
)
def test_squares_beyond_the_picture_are_cut_off(square: list[float]) -> None:
    picture = np.zeros((60, 80, 3), np.uint8)
    painted = paint_maps(picture, np.array([square]), np.ones((1, 6, 6)))
    assert painted.shape == picture.shape
    assert painted.any() == (square[0] < 80)


def test_paint_refuses_what_does_not_fit() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(InputError):
        paint_maps(picture, np.zeros((2, 4)), np.ones((1, 2, 2)))
    with pytest.raises(InputError):
        paint_maps(picture.astype(float), np.zeros((1, 4)), np.ones((1, 2, 2)))


def test_map_fades_with_the_probability_of_its_label() -> None:
    picture = np.full((40, 40, 3), 128, np.uint8)
    squares, maps = np.array([[0.0, 0.0, 40.0, 40.0]]), np.ones((1, 4, 4))
    changes = [
        np.abs(paint_maps(picture, squares, maps, np.array([share])).astype(int) - 128).mean()
        for share in (0.0, 0.1, 0.5, 1.0)
    ]
    assert changes[0] == changes[1] > 1  # the faintest is still seen
    assert changes[2] == pytest.approx(changes[3] / 2, rel=0.05)
    assert changes[1] == pytest.approx(changes[3] / 10, rel=0.15)
