from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mien.errors import ConfigError
from mien.training.config import TrainConfig
from mien.training.tuning.config import (
    Choice,
    Range,
    TuneConfig,
    check_space,
    make_space,
    read_space,
)
from support import ROOT


def test_a_file_becomes_ranges_and_choices(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(
        "lr: {low: 1e-3, high: 0.3, log: true}\n"
        "randaugment: {low: 0, high: 5, step: 2}\n"
        "optimizer: [sgd, adamw]\n"
        "freeze_bn: [true, false]\n"
    )
    assert read_space(path) == {
        "lr": Range(0.001, 0.3, log=True),
        # 5 cannot be reached in steps of 2.
        "randaugment": Range(0, 4, step=2),
        "optimizer": Choice(("sgd", "adamw")),
        "freeze_bn": Choice((True, False)),
    }


def test_values_outside_of_the_limits_of_a_recipe_are_refused() -> None:
    recipe = TrainConfig.make({"epochs": 5})
    with pytest.raises(ConfigError, match=r"dropout cannot be 1\.5: dropout must be"):
        check_space(make_space({"dropout": {"low": 0.0, "high": 1.5}}), recipe)
    with pytest.raises(ConfigError, match=r"optimizer cannot be 'sdg'.*Did you mean 'sgd'"):
        check_space(make_space({"optimizer": ["adam", "sdg"]}), recipe)
    with pytest.raises(ConfigError, match="warmup_epochs cannot be 9"):
        check_space(make_space({"warmup_epochs": {"low": 0, "high": 9}}), recipe)


def test_values_that_need_others_beside_them_are_possible() -> None:
    recipe = TrainConfig.make({"weights": "hub"})
    alone = make_space({"freeze_epochs": [0, 3]})
    with pytest.raises(ConfigError, match="freeze_epochs cannot be 3"):
        check_space(alone, recipe)
    check_space({**alone, **make_space({"freeze": ["none", "features"]})}, recipe)


def test_a_range_from_zero_keeps_its_low_end() -> None:
    assert Range(0.0, 0.5).to_plain() == {"low": 0.0, "high": 0.5}
    assert Range(1, 9, log=True).to_plain() == {"low": 1, "high": 9, "log": True}


def test_points_of_a_grid_by_hand() -> None:
    space = make_space({
        "lr": {"low": 0.1, "high": 0.3, "step": 0.1},
        "randaugment": {"low": 0, "high": 2},
        "flip": [0.5, 0.0],
    })  # fmt: skip
    points = {key: dimension.points(key) for key, dimension in space.items()}
    assert points == {"lr": [0.1, 0.2, 0.3], "randaugment": [0, 1, 2], "flip": [0.5, 0.0]}
    with pytest.raises(ConfigError, match="lr is a continuous range: give it a step"):
        Range(0.1, 0.3).points("lr")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"sampler": "tpee"}, "Did you mean 'tpe'"),
        ({"pruner": "hyper"}, "hyperband"),
        ({"metric": "acc"}, "accuracy"),
        ({"trials": 0}, "at least 1"),
        ({"timeout": -1}, "at least 0"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        TuneConfig(**values)


def test_the_space_of_the_documents_is_one() -> None:
    page = ROOT / "docs" / "tuning.md"
    block = re.search(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    space = make_space(yaml.safe_load(block[1]))
    check_space(space, TrainConfig.make({}))
    assert len(space) == 4
