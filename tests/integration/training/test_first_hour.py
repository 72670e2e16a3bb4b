"""The first hour of a stranger with a small folder: whatever happens is said, and what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from mien.cli import main
from support.faces import draw_face, write_folder
from support.full_disk import error_when_full

#: What the callbacks of the test do at the first step.
FAULTS = """
class Stopped:
    def on_train_batch_end(self, trainer, *_):
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt

class NoMemory:
    def on_train_batch_start(self, *_):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate "
                           "memory: you tried to allocate 9999999999 bytes. Error code 12")
"""


def _folder(root: Path) -> Path:
    """Three classes of 60 faces, one of 5, a folder in capitals, and a file that is no picture."""
    for label in ("happiness", "sadness", "neutral"):
        (root / label).mkdir(parents=True)
        for number in range(60):
            draw_face(label, number + 100 * len(label)).save(root / label / f"{number:02}.png")
    shutil.move(root / "sadness", root / "SADNESS")
    (root / "Anger").mkdir()
    for number in range(5):
        draw_face("sadness", 9_000 + number).save(root / "Anger" / f"{number}.png")
    (root / "notes.txt").write_text("taken on Friday")
    return root


def _run(typed: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stop:
        main(typed.split())
    printed = capsys.readouterr()
    return int(stop.value.code or 0), printed.out + printed.err


@pytest.mark.slow
def test_first_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    _folder(tmp_path / "faces")
    (tmp_path / "faults.py").write_text(FAULTS)

    code, said = _run("data inspect -d folder:faces", capsys)
    assert code in (0, 1)  # 1: labels to look at
    for word in ("notes.txt", "12.0 times as many", "anger 5"):
        assert word in said, said

    train = "train -d folder:faces --model mienet_test -b 16 --threads 1 -o"
    code, said = _run(f"{train} one --epochs 1", capsys)
    assert code == 0, said
    for word in (
        "train has", "anger", "mienet_test: ", "in float32", "1/1", "best epoch 1 of 1",
        "is called", "next: mien predict photo.jpg --model one",
    ):  # fmt: skip
        assert word in said, (word, said)
    code, said = _run("predict sample --model one --format json", capsys)
    assert code == 0, said

    code, said = _run(f"{train} two --epochs 2 --callbacks faults:Stopped", capsys)
    assert code == 130
    assert "-o two --resume" in said
    monkeypatch.delattr("faults.Stopped.on_train_batch_end")
    monkeypatch.setattr("faults.Stopped.on_fit_end", lambda *_: None, raising=False)
    code, said = _run(f"{train} two --epochs 2 --callbacks faults:Stopped --resume", capsys)
    assert code == 0, said
    assert "2/2" in said

    code, said = _run(f"{train} three --epochs 1 --callbacks faults:NoMemory", capsys)
    assert code == 1
    assert "--batch-size 8" in said
    assert "Traceback" not in said

    said = error_when_full(f"{train} four --epochs 1", capsys, size=20_000)
    assert "four cannot be written to" in said
    assert "--resume" in said
    code, said = _run(f"{train} four --epochs 1 --resume", capsys)
    assert code == 0, said


@pytest.mark.slow
def test_the_rate_that_is_found_lies_where_the_loss_falls(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    from mien.training.config import TrainConfig
    from mien.training.tuning.find_lr import find_lr

    data = write_folder(tmp_path / "faces", 24)
    config = TrainConfig.make(
        {"data": f"folder:{data}", "model": "mienet_test", "batch_size": 16, "precision": "32"}
    )
    found = find_lr(config, tmp_path / "lr", steps=60)
    assert list(found.rates) == sorted(found.rates)
    assert min(found.losses) < found.losses[0]
    assert 1e-4 < found.best < 1
    assert found.best == pytest.approx(found.rates[found.losses.index(min(found.losses))] / 10)
    assert len((tmp_path / "lr" / "lr.csv").read_text().splitlines()) == len(found.rates) + 1
    with Image.open(tmp_path / "lr" / "lr.png") as picture:
        assert picture.width > picture.height
    with pytest.raises(SystemExit) as stop:
        main(["tune", "-d", f"folder:{data}"])
    assert stop.value.code == 2
    assert "--find-lr" in capsys.readouterr().err
