"""The diagrams of a study: scores against keys, and the heat map of a grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("optuna")

from mien.training.config import TrainConfig
from mien.training.tuning.find_lr import RateSearch
from mien.training.tuning.result import TrialRow, TuneResult, plot_grid, plot_values


def _result(*drawn: dict[str, Any]) -> TuneResult:
    rows = tuple(
        TrialRow(number, "complete", 0.5 + number / 100, values, 1.0, "", "", "")
        for number, values in enumerate(drawn)
    )
    return TuneResult("study", "accuracy", True, rows, rows[-1], TrainConfig(), {}, Path())


def test_scores_are_drawn_against_each_key() -> None:
    figure = plot_values(
        _result(
            {"lr": 0.001, "optimizer": "sgd"},
            {"lr": 0.1, "optimizer": "adamw"},
            {"lr": 0.01, "optimizer": "sgd"},
        )
    )
    lr, optimizer = figure.axes
    assert (lr.get_xlabel(), lr.get_xscale()) == ("lr", "log")
    assert [tick.get_text() for tick in optimizer.get_xticklabels()] == ["adamw", "sgd"]
    assert np.sort(optimizer.get_lines()[0].get_xdata()).tolist() == [0, 1, 1]
    assert np.sort(lr.get_lines()[0].get_ydata()) == pytest.approx([0.5, 0.51, 0.52])


def test_two_keys_with_few_values_are_a_heat_map() -> None:
    grid = [{"lr": lr, "flip": flip} for lr in (0.1, 0.01) for flip in (0.0, 0.5)]
    figure = plot_grid(_result(*grid, grid[0]))
    assert figure is not None
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("flip", "lr")
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["0.01", "0.1"]
    told = {text.get_position(): text.get_text() for text in axes.texts}
    # lr 0.1, flip 0: the mean of the first and of the last trial.
    assert told == {(0, 1): "0.520", (1, 1): "0.510", (0, 0): "0.520", (1, 0): "0.530"}


@pytest.mark.parametrize(
    "drawn",
    [
        [{"lr": 0.1}, {"lr": 0.2}],
        [{"lr": 0.1, "flip": 0.0}, {"lr": 0.1, "flip": 0.5}],
        [{"lr": n / 10, "flip": n / 20} for n in range(1, 9)],
    ],
    ids=["one key", "one value", "no grid"],
)
def test_other_studies_have_none(drawn: list[dict[str, Any]]) -> None:
    assert plot_grid(_result(*drawn)) is None


def test_the_loss_fell_fastest_before_it_ran_away() -> None:
    losses = (2.0, 1.9, 1.4, 1.35, 9.0, 3.0, 2.5)
    found = RateSearch(tuple(10.0 ** (at - 5) for at in range(len(losses))), losses)
    assert found.best == pytest.approx(1e-3)  # a tenth of the lowest's
    assert found.steepest == pytest.approx(1e-4)
