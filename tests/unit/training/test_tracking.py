from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("torch")

from PIL import Image

from mien.errors import MissingExtraError
from mien.training.config import TrainConfig
from mien.training.directory import draw_curves, plot_curves, plot_runs
from mien.training.trainer import find_logger, has_wandb_key


def test_a_logger_that_is_missing_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match=r"mien\[track\]"):
        find_logger("mlflow")
    assert TrainConfig().logger == "none"


def test_a_key_of_weights_and_biases_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert not has_wandb_key()
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password made-up\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert has_wandb_key()


@pytest.mark.parametrize("epochs", [1, 30])
def test_curves_are_drawn_where_the_numbers_are(tmp_path: Path, epochs: int) -> None:
    rows = [
        f"{n + 1},{2 / (n + 1)},{2.2 / (n + 1)},{1 - 0.8 ** (n + 1)},0.1,1,9,{1.9 / (n + 1)},0.9"
        for n in range(epochs)
    ]
    head = "epoch,train_loss,valid_loss,valid_accuracy,lr,seconds,faces_per_s"
    text = "\n".join([f"{head},train_clean_loss,train_clean_accuracy", *rows])
    (tmp_path / "metrics.csv").write_text(text)
    draw_curves(tmp_path / "metrics.csv", tmp_path / "curves.png", title="lenet.mine")
    with Image.open(tmp_path / "curves.png") as opened:
        picture = opened.convert("RGB")
        # Narrow enough for a phone: three panels below each other.
        assert picture.width < picture.height
        halves = [
            picture.crop(
                (0, k * picture.height * 2 // 5, picture.width, (k + 1) * picture.height * 2 // 5)
            )
            for k in (0, 1)
        ]
    for half in halves:
        found = half.getcolors(1 << 20)
        assert found is not None
        colors = {color for _, color in found}
        assert (47, 95, 179) in colors, "the line of the validation faces"
        assert (194, 87, 26) in colors, "the line of the training faces"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_curves_of_an_older_run_need_no_scores_of_training_faces() -> None:
    history = [
        {
            "epoch": n,
            "train_loss": 1.0,
            "valid_loss": 1.1,
            "valid_accuracy": 0.5 + n / 10,
            "lr": 0.1,
        }
        for n in (1, 2, 3)
    ]
    loss, accuracy, rate = plot_curves(history, title="a run").axes
    assert [line.get_label() for line in accuracy.get_lines()][:1] == ["validation"]
    assert loss.get_title(loc="left") == "a run\nbest epoch 3: accuracy 80.0%"
    assert rate.get_ylabel() == "learning rate"
    perfect = plot_curves([{**row, "valid_accuracy": 1.0} for row in history]).axes[1]
    assert perfect.get_ylim()[1] < 1.01  # no accuracy is above 100 %
    overlaid = plot_runs({"first": history, "second": history[:1]})
    assert overlaid._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]  # in a notebook
    names = [line.get_label() for line in overlaid.axes[0].get_lines()]
    assert [name for name in names if not str(name).startswith("_")] == ["first", "second"]
