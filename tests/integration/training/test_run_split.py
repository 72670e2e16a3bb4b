"""A run records who was in valid, and whatever scores it afterwards uses the same faces."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from mien.cli import main
from mien.data import read_manifest
from mien.errors import DataError
from mien.evaluation import evaluate
from mien.training.config import TrainConfig
from mien.training.run import train
from support.faces import LABELS, draw_face

EACH = 20


def _values(data: Path, **more: object) -> dict[str, Any]:
    return {
        "data": f"folder:{data}", "model": "mienet_test", "epochs": 1, "warmup_epochs": 0,
        "batch_size": 16, "threads": 1, "precision": "32", "device": "cpu", **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Faces by label alone: the data has no splits."""
    root = tmp_path_factory.mktemp("flat") / "faces"
    for class_id, label in enumerate(LABELS):
        (root / label).mkdir(parents=True)
        for index in range(EACH):
            draw_face(label, class_id * 1000 + index).save(root / label / f"{index:03}.png")
    return root


@pytest.fixture(scope="module")
def run(flat: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("split") / "run"
    train(TrainConfig(**_values(flat, seed=7)), output, progress=False)
    return output


def _valid(data: Path, seed: int) -> set[str]:
    part = read_manifest(f"folder:{data}", seed=seed).split("valid")
    return {part.images.key(index) for index in range(len(part))}


def test_evaluate_scores_the_faces_that_the_run_held_out(
    flat: Path,
    run: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    held_out = _valid(flat, 7)
    assert held_out != _valid(flat, 0)
    with pytest.raises(SystemExit, match="0"):
        main(["evaluate", "-m", str(run), "-d", f"folder:{flat}", "-q", "--format", "csv"])
    scored = {row["key"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    assert scored == held_out
    assert "split.json" in caplog.text
    recorded = json.loads((run / "eval" / "valid.json").read_text())
    found = evaluate(str(run), f"folder:{flat}").scores()
    assert (found["n"], found["accuracy"]) == (recorded["n"], recorded["accuracy"])


def test_record_says_who_was_in_valid(flat: Path, run: Path) -> None:
    record = json.loads((run / "split.json").read_text())
    assert record["seed"] == 7
    assert set(record["valid"]) == _valid(flat, 7)
    faces = record["faces"]
    assert (faces["train"], faces["valid"]) == (3 * EACH - len(record["valid"]), 6)
    assert faces["select"] + faces["calibrate"] == 6
    assert set(record["calibrate"]) < set(record["valid"])


def test_own_split_of_the_data_wins(run: Path, flat: Path, tmp_path: Path) -> None:
    data = tmp_path / "faces"
    shutil.copytree(flat, data / "train")
    for label in LABELS:
        (data / "valid" / label).mkdir(parents=True)
        shutil.move(data / "train" / label / "000.png", data / "valid" / label)
    part = read_manifest(f"folder:{data}", runs=[run]).split("valid")
    assert len(part) == len(LABELS)


def test_other_data_is_dealt_as_without_a_run(run: Path, tmp_path: Path) -> None:
    for class_id, label in enumerate(LABELS):
        (tmp_path / label).mkdir()
        for index in range(EACH):
            draw_face(label, 9000 + class_id * 100 + index).save(tmp_path / label / f"x{index}.png")
    plain = read_manifest(f"folder:{tmp_path}")
    assert plain.splits.tolist() == read_manifest(f"folder:{tmp_path}", runs=[run]).splits.tolist()


def test_several_runs_are_scored_on_what_none_of_them_learned(
    flat: Path, run: Path, tmp_path: Path
) -> None:
    def other(keys: list[str]) -> Path:
        folder = tmp_path / f"run{len(keys)}"
        folder.mkdir()
        (folder / "split.json").write_text(json.dumps({"seed": 0, "valid": keys}))
        return folder

    mine = sorted(_valid(flat, 7))
    theirs = sorted(_valid(flat, 0) - set(mine))
    part = read_manifest(f"folder:{flat}", runs=[run, other([*mine[:4], *theirs])]).split("valid")
    assert sorted(map(part.images.key, range(len(part)))) == mine[:4]
    with pytest.raises(DataError, match="different faces"):
        read_manifest(f"folder:{flat}", runs=[run, other(theirs[:2])])
