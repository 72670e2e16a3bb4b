"""What a training says in the end, and the presets and weights that it can start from."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from mien.cli.train import Help, command
from mien.errors import ConfigError
from mien.training.config import PRESETS, TrainConfig, parse_class_weights
from mien.training.summary import describe_end

REPORT = {
    "confusion": {
        "labels": ["joy", "fear", "calm", "rage"],
        "counts": [[6, 2, 2, 0], [3, 1, 0, 0], [0, 0, 10, 0], [0, 0, 0, 0]],
    },
    "per_class": {
        "joy": {"support": 10, "recall": 0.6, "precision": 2 / 3, "f1": 0.632},
        "fear": {"support": 4, "recall": 0.25, "precision": 1 / 3, "f1": 0.286},
        "calm": {"support": 10, "recall": 1.0, "precision": 10 / 12, "f1": 0.909},
        "rage": {"support": 0, "recall": 0.0, "precision": 0.0, "f1": 0.0},
    },
}


def test_the_end_names_epoch_classes_confusions_and_what_is_next() -> None:
    history = [{"epoch": 1.0}, {"epoch": 2.0}, {"epoch": 3.0}]
    lines = list(describe_end(REPORT, history, 1, Path("runs/mine")))
    assert lines[0] == "best epoch 2 of 3"
    assert [line.split()[0] for line in lines[2:5]] == ["joy", "fear", "calm"]
    assert lines[3].split() == ["fear", "4", "25.0%", "33.3%", "0.286"]
    assert "fear is called joy in 75 % of cases (3 faces)" in lines[5]
    assert len([line for line in lines if " is called " in line]) == 3
    assert lines[-3:] == [
        "next: mien predict photo.jpg --model runs/mine",
        "      mien evaluate --model runs/mine -d DATA --report mine.html",
        "      mien export runs/mine --format int8-static -d DATA -o small",
    ]


@pytest.mark.parametrize("preset", ["", *PRESETS])
@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_the_usual_warm_up_bends_to_few_epochs(preset: str, epochs: int) -> None:
    config = TrainConfig.make({"preset": preset, "epochs": epochs})
    assert 0 < config.warmup_epochs < config.epochs


def test_a_preset_lies_under_all_else(tmp_path: Path) -> None:
    assert TrainConfig.make({"preset": "small"}).weights == "mienet_s.faces8"
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("preset: small\nlr: 0.5\n")
    config = TrainConfig.load(recipe, None, epochs=3)
    assert (config.lr, config.epochs) == (0.5, 3)
    assert config.batch_size == PRESETS["small"]["batch_size"]
    # What a run saves says it all, and reads back the same.
    assert TrainConfig.make(config.to_dict()) == config
    with pytest.raises(ConfigError, match="Did you mean 'small'"):
        TrainConfig.make({"preset": "smal"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("inverted", "Did you mean 'inverse'"),
        ("angry=two", "a label and a number"),
        ("angry=-1", "a number of 0 or more"),
        ("angry=nan", "a number of 0 or more"),
        ("angry=1,happy", "a label and a number"),
    ],
)
def test_weights_by_hand_that_are_none_are_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        TrainConfig.make({"class_weight": text})


def test_weights_by_hand_are_read() -> None:
    assert parse_class_weights("angry=2, happy=0.5") == {"angry": 2.0, "happy": 0.5}


def test_help_has_every_option_in_one_group() -> None:
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.command(cls=Help)(command)
    printed = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80", "TERM": "dumb"}).output
    titles = [line for line in printed.splitlines() if line.endswith(":") and line[0] != " "]
    assert titles == [f"{title}:" for title in Help.groups]  # and no "Other:"
    assert len(Help.groups["Most used"]) == 10
    assert max(map(len, printed.splitlines())) <= 80
    for flag in ("--data", "--preset", "--cutmix-alpha", "--monitor", "--help"):
        assert sum(f"{flag} " in f"{line} " for line in printed.splitlines()) == 1, flag
