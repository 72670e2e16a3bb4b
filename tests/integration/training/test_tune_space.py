from __future__ import annotations

from typing import Any

import pytest

from mien.errors import ConfigError
from mien.training.tuning.config import (
    make_space,
)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "is empty"),
        ({"epohs": [1, 2]}, "Did you mean 'epochs'"),
        ({"data": ["folder:a", "folder:b"]}, "cannot be compared"),
        ({"lr": 0.1}, "stands in the recipe"),
        ({"lr": [0.1]}, "two different values"),
        ({"lr": [0.1, 0.1]}, "two different values"),
        ({"lr": ["fast", "slow"]}, "must be a number"),
        ({"lr": {"low": 0.1}}, "needs low and high"),
        ({"lr": {"low": 0.1, "hgih": 1}}, "Did you mean 'high'"),
        ({"lr": {"low": 0.3, "high": 0.1}}, "must be below high"),
        ({"lr": {"low": 0, "high": 0.1, "log": True}}, "low above 0"),
        ({"lr": {"low": 0.1, "high": 0.2, "step": 0.5}}, "fit the range"),
        ({"epochs": {"low": 1.5, "high": 3}}, "whole number"),
        ({"optimizer": {"low": 1, "high": 2}}, "give a list"),
    ],
)
def test_spaces_that_do_not_hold_together_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_space(values, source="space.yaml")
