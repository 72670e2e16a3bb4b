"""A disk that is full: verbs whose libraries take their time; tests/unit has the others."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mien.cli import main
from support.clips import write_clip
from support.faces import write_folder
from support.full_disk import error_when_full, files_of, write_faces, write_linear_model


def test_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("joblib")  # it tries out a semaphore when it is imported
    first, faces = write_linear_model(tmp_path / "one"), write_faces(tmp_path / "faces")
    shutil.copytree(first, tmp_path / "two")
    (tmp_path / "out").mkdir()
    words = f"compare {first} {tmp_path / 'two'} -d folder:{faces} --no-timing -o {tmp_path}/out/r"
    for ending in ("md", "json", "html"):
        error = error_when_full(f"{words}.{ending}", capsys)
        assert f"{tmp_path}/out/r.{ending} cannot be written: File too large" in error
    assert files_of(tmp_path / "out") == {}


def test_benchmark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "benchmark --batch-sizes 1 --threads 1 --repeats 1 --rounds 1 --starts 0 --warm-up 0"
    error = error_when_full(f"{words} -o {tmp_path}/r.json", capsys)
    assert f"{tmp_path}/r.json cannot be written: File too large" in error
    assert files_of(tmp_path) == {}


@pytest.mark.parametrize("size", [0, 4_000])
def test_a_clip_goes_on_where_there_is_room(
    size: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("av")
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (96, 128, 3), dtype=np.uint8) for _ in range(6)]
    clip, words = write_clip(tmp_path / "clip.mp4", frames, fps=6), f"-o {tmp_path}/seen"
    error = error_when_full(f"predict {clip} {words}", capsys, size)
    assert f"{tmp_path}/seen cannot be written: File too large. What is finished stays" in error
    assert all(".parts" in path.parts for path in files_of(tmp_path / "seen"))
    with pytest.raises(SystemExit) as stop:
        main(f"predict {clip} {words}".split())
    assert not stop.value.code
    assert (tmp_path / "seen" / "summary.json").is_file()
    assert not (tmp_path / "seen" / ".parts").exists()


def test_a_training_goes_on_where_there_is_room(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    data, run = write_folder(tmp_path / "faces", 8), tmp_path / "run"
    words = (
        f"train -d folder:{data} -o {run} --model mienet_test --epochs 2 --warmup-epochs 0 "
        "--batch-size 16 --precision 32 --device cpu --threads 1"
    )
    error = error_when_full(words, capsys, size=20_000)
    assert f"{run} cannot be written to: File too large. The run stands" in error
    assert {path.name for path in files_of(run)} <= {"args.yaml", "metrics.csv"}
    with pytest.raises(SystemExit) as stop:
        main([*words.split(), "--resume"])
    assert not stop.value.code
    assert (run / "model.onnx").is_file()
