from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from mien.errors import ConfigError
from mien.training.config import TrainConfig, list_monitors
from support import ROOT

FOLDER = ROOT / "recipes"
RESULTS = sorted((FOLDER / "results").glob("*.yaml"))
RECIPES = [*sorted(FOLDER.glob("*.yaml")), *RESULTS]
#: What a network needs for itself; all else is the budget that the results page speaks of.
OWN = {
    "model", "model_args", "size", "precision", "lr", "weights", "freeze", "layer_decay",
    "class_weight", "class_weight_beta",
}  # fmt: skip


def test_there_are_recipes() -> None:
    assert RECIPES


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_is_valid(path: Path) -> None:
    pytest.importorskip("yaml")
    assert TrainConfig.load(path).epochs >= 1


def test_recipes_of_the_results_page_share_one_budget() -> None:
    pytest.importorskip("yaml")
    assert len(RESULTS) >= 13
    budgets = [
        {key: value for key, value in TrainConfig.load(path).to_dict().items() if key not in OWN}
        for path in RESULTS
    ]
    assert all(budget == budgets[0] for budget in budgets)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epohs": 3}, "Did you mean 'epochs'"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"epochs": "many"}, "epochs must be a whole number"),
        ({"epochs": 2.5}, "whole number"),
        ({"lr": float("nan")}, "lr must be a number"),
        ({"lr": 0}, "lr must be above 0"),
        ({"flip": 1.2}, "flip must be at least 0 and at most 1"),
        ({"momentum": 1}, "below 1"),
        ({"scale_min": 1.2, "scale_max": 1.0}, "scale_max"),
        ({"epochs": 2, "warmup_epochs": 3}, "warmup_epochs"),
        ({"precision": "bf61"}, "bf16"),
        ({"device": "gpu"}, "device"),
        ({"seed": True}, "seed must be a whole number"),
        ({"model": None}, "model must be a text"),
    ],
)
def test_impossible_values_are_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        TrainConfig.make(values)


def test_flags_win_over_the_file_and_none_means_not_given(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    path = tmp_path / "recipe.yaml"
    path.write_text("epochs: 7\nlr: 0.2\nprecision: 32\n")
    config = TrainConfig.load(path, lr=0.3, epochs=None)
    assert (config.epochs, config.lr, config.precision) == (7, 0.3, "32")


@pytest.mark.parametrize(
    ("text", "words"),
    [("epohs: 3", "epochs"), ("- a\n- b", "mapping"), ("a: [", "not valid YAML")],
)
def test_broken_recipe_is_refused(tmp_path: Path, text: str, words: str) -> None:
    pytest.importorskip("yaml")
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        TrainConfig.load(path)


def test_missing_recipe_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        TrainConfig.load(tmp_path / "no.yaml")


def test_every_field_has_help() -> None:
    for item in dataclasses.fields(TrainConfig):
        assert item.metadata["help"].endswith("."), item.name


@pytest.mark.parametrize("given", ["ferplus:a,mode=majority", ["ferplus:a,mode=majority"]])
def test_one_dataset_is_a_text(given: object) -> None:
    config = TrainConfig.make({"data": given})
    assert config.data == "ferplus:a,mode=majority"
    assert "data: ferplus:a,mode=majority\n" in config.to_yaml()


def test_several_datasets_are_a_list_everywhere(tmp_path: Path) -> None:
    specs = ("ferplus:a,mode=majority", "parquet:b,weight=0.5")
    config = TrainConfig.make({"data": list(specs), "monitor": "accuracy/parquet"})
    (tmp_path / "args.yaml").write_text(config.to_yaml())
    assert TrainConfig.load(tmp_path / "args.yaml") == config
    assert config.data == specs
    with pytest.raises(ConfigError, match="must be a text"):
        TrainConfig.make({"data": {"a": "ferplus:a"}})


@pytest.mark.parametrize(
    ("monitor", "words"),
    [("acuracy", "Did you mean 'accuracy'"), ("loss/a", "Did you mean 'loss'"), ("f1", "macro_f1")],
)
def test_unknown_monitors_are_refused(monitor: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        TrainConfig(monitor=monitor)


def test_monitors_of_several_need_several() -> None:
    assert list_monitors(["a"]) == ["accuracy", "macro_f1", "loss"]
    assert list_monitors(["a", "b"])[3:] == [
        "mean_accuracy", "mean_macro_f1", "accuracy/a", "macro_f1/a", "accuracy/b", "macro_f1/b",
    ]  # fmt: skip


def test_auto_stands_for_the_largest_batch_in_a_file_and_from_python(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("batch_size: auto\n")
    assert TrainConfig.load(recipe).batch_size == TrainConfig(batch_size=0).batch_size == 0
    with pytest.raises(ConfigError, match="batch_size must be at least 2"):
        TrainConfig(batch_size=1)


@pytest.mark.parametrize(
    ("given", "proposed", "left_out"),
    [("invers", "Did you mean 'inverse'?", "By hand"), ("heavy", "By hand: angry=2", "Did you")],
)
def test_unknown_class_weights_are_told_what_to_type(
    given: str, proposed: str, left_out: str
) -> None:
    with pytest.raises(ConfigError) as refusal:
        TrainConfig(class_weight=given)
    assert proposed in str(refusal.value)
    assert left_out not in str(refusal.value)
