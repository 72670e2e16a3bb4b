"""Whole runs with the options of a recipe, and what a run does with what it cannot use."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")


from mien.data import read_manifest
from mien.errors import ConfigError, DataError, MienError, ModelError
from mien.training.callbacks import naming_full_disk
from mien.training.config import TrainConfig
from mien.training.loop import save_checkpoint
from mien.training.network import trained_spec
from mien.training.run import check_parts, load_data, train
from support.faces import write_folder
from support.training_recipe_runs import _values, largest_file, rows


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"los": "focal"}, "Did you mean 'loss'"),
        ({"loss": "focall"}, "Did you mean 'focal'"),
        ({"optimizer": "adamW"}, "or 'adamw'"),
        ({"schedule": "cosin"}, "Did you mean 'cosine'"),
        ({"class_weight": "inverted"}, "Did you mean 'inverse'"),
        ({"sampler": "weigthed"}, "Did you mean 'weighted'"),
        ({"logger": "tensorbord"}, "Did you mean 'tensorboard'"),
        ({"color": "grey"}, "Did you mean 'gray'"),
        ({"freeze": "feature"}, "Did you mean 'features'"),
        ({"freeze_bn": 1}, "true or false"),
        ({"freeze": "features"}, "features of chance"),
        ({"freeze_bn": True}, "no data at all"),
        ({"freeze_epochs": 3}, "need freeze: features"),
        ({"freeze": "features", "weights": "w", "freeze_epochs": 40}, "below epochs"),
        ({"freeze": "features", "weights": "w", "unfreeze": 1}, "needs freeze_epochs"),
        ({"class_weight": "inverse", "sampler": "weighted"}, "do it twice"),
        ({"loss": "class_balanced", "logit_adjustment": 1}, "do it twice"),
        ({"loss": "class_balanced", "class_weight": "inverse"}, "cross_entropy"),
        ({"loss": "my:loss", "class_weight": "inverse"}, "weigh there"),
        ({"size": 5}, "at least 8"),
        ({"layer_decay": 0}, "layer_decay must be above 0"),
        ({"cutmix": 2}, "cutmix must be"),
    ],
)
def test_impossible_recipes_are_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        TrainConfig.make(values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"callbacks": "math:sqrt"}, "no class with hooks"),
        ({"callbacks": "mathh:sqrt"}, "cannot be imported"),
        ({"callbacks": "mien.training.callbacks:BestEpoch"}, "built without arguments"),
        ({"loss": "math:sqroot"}, "Did you mean 'sqrt'"),
        ({"loss": "math:"}, "module:attribute"),
        ({"weights": "no.safetensors"}, "no such file"),
        ({"model": "mienet_test", "labels": "fer77"}, "Did you mean 'fer7'"),
    ],
)
def test_what_a_recipe_names_is_looked_up_before_anything_is_written(
    faces: Path, tmp_path: Path, values: dict[str, object], words: str
) -> None:
    with pytest.raises(MienError, match=words):
        train(TrainConfig.make(_values(faces, **values)), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_a_label_outside_of_the_schema_is_refused(faces: Path, tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    data = write_folder(tmp_path / "f" / "faces", 4)
    (data / "train" / "sadness").rename(data / "train" / "boredom")
    with pytest.raises(DataError, match="boredom"):
        train(TrainConfig.make(_values(data, labels="fer7")), tmp_path / "run", progress=False)


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "faces", 4)
    for path in (data / "valid").rglob("*.png"):
        path.unlink()
    with pytest.raises(DataError, match="valid"):
        train(TrainConfig.make(_values(data)), tmp_path / "run", progress=False)


def test_damaged_faces_are_left_out_counted_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = write_folder(tmp_path / "faces", 12)
    contents = {"train/sadness": b"", "train/neutral": b"<html>", "valid/sadness": b"\xff\xd8"}
    for folder, content in contents.items():
        min((root / folder).iterdir()).write_bytes(content)
    config = TrainConfig.make(_values(root))
    data = load_data(config, trained_spec(config).preprocessing)
    whole = read_manifest(config.data)
    assert len(data.train) == len(data.train_faces) == len(whole.split("train")) - 2
    assert len(data.valid) == len(data.valid_faces) == len(data.selects)
    assert len(data.valid) == len(whole.split("valid")) - 1
    first, second = (record.getMessage() for record in caplog.records)
    assert f"2 of {len(data.train) + 2} train pictures cannot be read" in first
    assert "1 of " in second
    assert f"mien data inspect -d folder:{root}" in first


def test_a_split_of_damaged_faces_is_an_error(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "faces", 2)
    for path in (root / "train").rglob("*.png"):
        path.write_bytes(b"no picture, " + path.name.encode())
    config = TrainConfig.make(_values(root))
    with pytest.raises(DataError, match="is not a picture that mien can read"):
        load_data(config, trained_spec(config).preprocessing)


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / "last.ckpt"
    save_checkpoint({"epoch": 1, "weights": torch.zeros(10)}, path)
    with (
        largest_file(20_000),
        pytest.raises(ModelError, match=r"make room.*--resume"),
        naming_full_disk(tmp_path),
    ):
        save_checkpoint({"epoch": 2, "weights": torch.zeros(100_000)}, path)
    assert torch.load(path, weights_only=True)["epoch"] == 1
    assert [entry.name for entry in path.parent.iterdir()] == ["last.ckpt"]


def test_nan_keeps_the_epochs_before_it(faces: Path, tmp_path: Path) -> None:
    (tmp_path / "breaking.py").write_text(
        "import torch\n"
        "calls = []\n"
        "def late(logits, targets):\n"
        "    calls.append(1)\n"
        "    loss = torch.nn.functional.cross_entropy(logits, targets)\n"
        "    return loss * (float('nan') if len(calls) > 4 else 1)\n"
    )
    config = TrainConfig.make(_values(faces, loss="breaking:late"))
    with contextlib.chdir(tmp_path), pytest.raises(DataError, match="became nan in epoch 2"):
        train(config, tmp_path / "run", progress=False)
    assert len(rows(tmp_path / "run")) == 1
    kept = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert kept["epoch"] == 0
    assert all(bool(torch.isfinite(v).all()) for v in kept["state_dict"].values())


@pytest.mark.parametrize("values", [{"lr": 1e6}, {"optimizer": "adam", "lr": 1e4}])
def test_a_training_that_diverged_says_so_and_what_to_type(
    faces: Path, tmp_path: Path, values: dict[str, object]
) -> None:
    values |= {"epochs": 2, "weight_decay": 0, "warmup_epochs": 0}
    usual = "0.001" if "optimizer" in values else "0.1"
    message = rf"diverged: the loss became .* in epoch \d, .*\(--lr {usual} --overwrite\)"
    with pytest.raises(DataError, match=message):
        train(TrainConfig.make(_values(faces, **values)), tmp_path / "run", progress=False)


def test_parts_of_the_default_recipe_are_there() -> None:
    check_parts(TrainConfig.make({}))


def test_every_key_is_a_flag_and_switches_go_both_ways() -> None:
    import typer
    from typer.testing import CliRunner

    from mien.cli.train import command

    app = typer.Typer(rich_markup_mode=None)
    app.command()(command)
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "300", "TERM": "dumb"})
    for name in TrainConfig.make({}).to_dict():
        flag = "--import " if name == "imports" else f"--{name.replace('_', '-')}"
        assert flag in result.output, name
    assert "--freeze-bn" in result.output
    assert "--no-freeze-bn" in result.output
