from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")


from mien.errors import ConfigError, DataError, MienError
from mien.locks import locked
from mien.training.config import TrainConfig
from mien.training.cross_validation import cross_validate
from mien.training.data.faces import EpochOrder
from mien.training.run import train
from mien.training.tuning.config import TuneConfig, make_space
from mien.training.tuning.run import tune
from support.faces import write_folder
from support.full_disk import error_when_full, files_of


def _values(data: Path, **more: object) -> dict[str, object]:
    return {
        "data": f"folder:{data}", "model": "mienet_test", "epochs": 4, "warmup_epochs": 1,
        "batch_size": 16, "lr": 0.05, "ema_decay": 0.9, "threads": 1, "precision": "32",
        "erase": 0.1, "seed": 3, "tag": "drawn", **more,
    }  # fmt: skip


def test_one_class_is_refused(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "faces", 8)
    for label in ("sadness", "neutral"):
        for path in (data / "train" / label).iterdir():
            path.unlink()
    with pytest.raises(DataError, match="fewer than two classes"):
        train(TrainConfig.make(_values(data)), tmp_path / "run")


def test_exploding_loss_ends_the_run_with_a_clear_error(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "faces", 24)
    values = _values(data, lr=1e30, ema_decay=0, weight_decay=0, warmup_epochs=0)
    with pytest.raises(
        DataError, match=r"diverged: .* with lr 1e\+30\. Take a lower lr \(--lr 0.1 "
    ):
        train(TrainConfig.make(values), tmp_path / "run", progress=False)


@pytest.mark.parametrize("data", ["", "folder:/no/such/folder", "fodler:x"])
def test_missing_data_is_refused(tmp_path: Path, data: str) -> None:
    with pytest.raises(MienError):
        train(TrainConfig(data=data, model="mienet_test"), tmp_path / "run")


def _start(verb: str, recipe: TrainConfig, output: Path) -> None:
    if verb == "search":
        tune(recipe, make_space({"flip": [0.1, 0.2]}), output=output, settings=TuneConfig())
    elif verb == "cross-validation":
        cross_validate(recipe, output, folds=2, resume=True)
    else:
        train(recipe, output, overwrite=True)


@pytest.mark.parametrize(
    ("verb", "devices"),
    [("training", 1), ("training", 2), ("search", 1), ("cross-validation", 1)],
)
def test_a_second_run_into_a_folder_is_refused_and_changes_nothing(
    tmp_path: Path, verb: str, devices: int
) -> None:
    pytest.importorskip("fcntl")
    data, output = write_folder(tmp_path / "faces", 3), tmp_path / "run"
    recipe = TrainConfig.make(_values(data, devices=devices, device="cpu"))
    if verb == "training":
        (output / "checkpoints").mkdir(parents=True)
        (output / "args.yaml").write_text(recipe.to_yaml())
        (output / "checkpoints" / "last.ckpt").write_text("of the first run")
    with locked(output, verb):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(ConfigError, match=f"run: another {verb} is writing there"):
            _start(verb, recipe, output)
        assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ("train -o {out}", "{out}/args.yaml cannot be written: File too large"),
        ("train --folds 2 -o {out}", "{out}/folds.json cannot be written: File too large"),
        (
            "tune --space {space} -o {out}",
            "database sqlite:///{out}/study.db cannot be used: disk I/O error. Check the folder",
        ),
    ],
)
def test_a_full_disk_is_named_and_leaves_nothing(
    typed: str, error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, places = write_folder(tmp_path / "faces", 3), {"out": tmp_path / "run"}
    recipe, places["space"] = tmp_path / "recipe.yaml", tmp_path / "space.yaml"
    recipe.write_text(TrainConfig.make(_values(data)).to_yaml())
    places["space"].write_text("lr: [0.1, 0.2]\n")
    said = error_when_full(f"{typed.format(**places)} -c {recipe}", capsys)
    assert error.format(**places) in said
    assert files_of(tmp_path / "run") == {}


def test_epoch_order_depends_on_seed_and_epoch_alone() -> None:
    order = EpochOrder(100, 32, seed=1)
    first = list(order)
    order.set_epoch(1)
    second = list(order)
    again = EpochOrder(100, 32, seed=1)
    again.set_epoch(1)
    assert list(again) == second != first
    assert len(first) == len(order) == 3
    assert len({index for batch in first for index in batch}) == 96


def test_epoch_order_without_shuffle_visits_everything_once() -> None:
    batches = list(EpochOrder(70, 32, shuffle=False))
    assert [index for batch in batches for index in batch] == list(range(70))
