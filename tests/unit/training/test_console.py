"""The lines that a training prints while it goes."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from rich.console import Console

from mien.errors import ConfigError
from mien.labels import LabelSchema
from mien.training import console
from mien.training.config import TrainConfig
from mien.training.console import EpochLines, epoch_line
from mien.training.optim.losses import ExpressionLoss, weights_by_hand
from support.terminal import Terminal

ROW = {
    "epoch": 7.0, "train_loss": 1.23456, "valid_loss": 0.98765, "valid_accuracy": 0.812,
    "valid_macro_f1": 0.745, "lr": 0.0123, "seconds": 75.0, "faces_per_s": 1234.5,
}  # fmt: skip


def test_the_line_of_an_epoch_fits_80_columns() -> None:
    line = epoch_line(ROW, 40, "accuracy", 0.812, is_best=True, left=7322)
    assert line.split() == [
        "7/40", "1.2346", "0.9877", "81.2", "%", "0.745", "0.012", "1:15", "1,234", "2", "h", "02",
        "81.2", "%*",
    ]  # fmt: skip
    perfect = {**ROW, "valid_loss": 1.9e-4, "valid_accuracy": 1.0}
    assert epoch_line(perfect, 40, "accuracy", 1.0, is_best=False, left=0).split()[2] == "0.0002"
    assert len(epoch_line(perfect, 40, "accuracy", 1.0, is_best=False, left=0)) == len(line) - 1
    widest = {**ROW, "epoch": 400.0, "lr": 1.2e-05, "faces_per_s": 123456.0, "seconds": 5025.0}
    assert len(epoch_line(widest, 400, "loss", 10.0, is_best=True, left=360_000)) <= 80
    assert len(console._HEAD) <= 80


class _Trainer:
    current_epoch, max_epochs, num_training_batches = 0, 3, 2


def test_a_line_per_epoch_marks_the_best_so_far(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[dict[str, float]] = []
    lines, trainer = EpochLines(lambda: rows, "accuracy"), _Trainer()
    clock = iter([100.0, 110.0, 120.0, 130.0])
    monkeypatch.setattr("mien.training.console.time.perf_counter", lambda: next(clock))
    lines.on_train_start(trainer)  # type: ignore[arg-type]
    for epoch, accuracy in enumerate((0.5, 0.75, 0.625)):
        trainer.current_epoch = epoch
        rows.append({**ROW, "epoch": epoch + 1.0, "valid_accuracy": accuracy})
        lines.on_train_epoch_start(trainer)  # type: ignore[arg-type]
        lines.on_train_epoch_end(trainer)  # type: ignore[arg-type]
    printed = capsys.readouterr().err.splitlines()
    assert printed[0] == console._HEAD
    assert [line.split()[-2:] for line in printed[1:]] == [
        ["50.0", "%*"], ["75.0", "%*"], ["75.0", "%"],
    ]  # fmt: skip
    # Ten seconds per epoch: twenty, ten and none are left.
    assert [line.split()[9:-2] for line in printed[1:]] == [["20", "s"], ["10", "s"], ["0", "s"]]


def test_the_bar_of_a_terminal_fits_80_columns_and_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    lines, trainer = EpochLines(lambda: [ROW], "accuracy"), _Trainer()
    lines.on_train_start(trainer)  # type: ignore[arg-type]
    lines.on_train_epoch_start(trainer)  # type: ignore[arg-type]
    outputs: dict[str, Any] = {"loss": torch.tensor(1.5)}
    for _ in range(2):
        lines.on_train_batch_end(trainer, None, outputs)
    bar = lines._bar
    assert bar.tasks[0].completed == 2
    bar.update(bar.task_ids[0], description="epoch 100/100", total=12345, completed=12345)
    wide = Console(width=200, file=io.StringIO())
    wide.print(bar.get_renderable())
    assert max(len(line.rstrip()) for line in wide.file.getvalue().splitlines()) <= 80  # type: ignore[attr-defined]
    lines.on_train_epoch_end(trainer)  # type: ignore[arg-type]
    assert lines._bar is None
    assert not bar.live.is_started


def test_long_lines_break_between_words_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "40")
    console.say("          note: valid has fewer than 20 faces of a class: fear 2")
    assert terminal.getvalue().splitlines() == [
        "          note: valid has fewer than 20", "          faces of a class: fear 2",
    ]  # fmt: skip


class _Display:
    """What IPython.display has, keeping what is shown."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    HTML = staticmethod(str)

    def display(self, html: str, *, display_id: bool) -> _Display:
        assert display_id
        self.shown.append(html)
        return self

    def update(self, html: str) -> None:
        self.shown.append(html)


def test_a_notebook_has_one_table_and_curves_that_are_renewed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra eval")
    shown = _Display()
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    monkeypatch.setattr(console, "in_notebook", lambda: True)
    rows: list[dict[str, float]] = []
    lines, trainer = EpochLines(lambda: rows, "accuracy"), _Trainer()
    lines.on_train_start(trainer)  # type: ignore[arg-type]
    for epoch in range(2):
        trainer.current_epoch = epoch
        rows.append({**ROW, "epoch": epoch + 1.0})
        lines.on_train_epoch_start(trainer)  # type: ignore[arg-type]
        lines.on_train_epoch_end(trainer)  # type: ignore[arg-type]
    assert len(shown.shown) == 3
    table, picture = shown.shown[-1].split("</pre>")
    assert [line.split()[0] for line in table.splitlines()][1:] == ["1/3", "2/3"]
    assert table.splitlines()[0].endswith(console._HEAD)
    assert "data:image/png;base64,iVBOR" in picture
    assert "monospace" in table
    console.say("data      folder:faces")
    assert tuple(capsys.readouterr()) == ("data      folder:faces\n", "")


MOOD = LabelSchema("mood", ("happy", "sad"))


def test_weights_by_hand_weigh_the_loss() -> None:
    counts = torch.tensor([30.0, 10.0])
    config = TrainConfig.make({"class_weight": "sad=3"})
    loss = ExpressionLoss(config, counts, MOOD)
    # 1 * 30 + 3 * 10 = 60 over 40 faces: a mean of 1.5 is scaled to 1.
    assert loss.weight is not None
    assert loss.weight.tolist() == pytest.approx([1 / 1.5, 3 / 1.5])
    assert torch.equal(weights_by_hand({"Sadness": 3}, MOOD, counts), loss.weight)
    for given, said in (
        ({"sda": 2}, "Did you mean 'sad'"),
        ({"fear": 2}, "no label of the data"),
        ({"sad": 2, "sadness": 3}, "'sadness' is named twice"),
        ({"happy": 0, "sad": 0}, "no face"),
    ):
        with pytest.raises(ConfigError, match=said):
            weights_by_hand(given, MOOD, counts)
