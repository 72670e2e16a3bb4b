from __future__ import annotations

import csv
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from support.command_line import run


def test_help_is_quick_and_light() -> None:
    code = (
        "import sys, mien.cli\n"
        "try: mien.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'numpy', 'onnxruntime', 'PIL', 'cv2', 'rich'} & set(sys.modules)))"
    )
    seconds = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert done.stdout.splitlines()[-1] == "[]"
    # Processor time, so that what else the machine is doing does not count.
    assert min(seconds) < 0.3


def test_closed_pipe_is_not_an_error(photos: Path) -> None:
    code = f"{sys.executable} -m mien predict {photos}/a.jpg {photos}/d.png | head -0"
    done = subprocess.run(
        ["bash", "-c", code], capture_output=True, text=True, env=os.environ, check=True
    )
    assert done.stderr == ""


def test_architectures_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    assert run("models", "--architectures", "--format", "json") == 0
    rows = json.loads(capsys.readouterr().out)["architectures"]
    assert {"mienet_s", "mienet_test"} <= {row["architecture"] for row in rows}


def test_evaluate_prints_the_promised_keys(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = f"folder:{trained.parent / 'faces'}"
    assert run("evaluate", "-m", str(trained), "-d", data, "--format", "json") == 0
    report = json.loads(capsys.readouterr().out)
    promised = [
        "accuracy",
        "accuracy_ci",
        "n",
        "macro_f1",
        "balanced_accuracy",
        "ece",
        "nll",
        "per_class",
    ]
    assert set(promised) <= set(report)
    written = json.loads((trained / "eval" / "valid.json").read_text())
    assert report["accuracy"] == pytest.approx(written["accuracy"], abs=0.03)
    assert run("evaluate", "-m", str(trained), "-d", data) == 0
    assert "confusion" in capsys.readouterr().out


def test_evaluate_writes_predictions(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = f"folder:{trained.parent / 'faces'}"
    arguments = ("evaluate", "-m", str(trained), "-d", data, "-o", str(tmp_path / "e"))
    assert run(*arguments) == 0
    rows = list(csv.DictReader((tmp_path / "e" / "predictions.csv").read_text().splitlines()))
    report = json.loads((tmp_path / "e" / "evaluation.json").read_text())
    hits = sum(row["label"] == row["predicted"] for row in rows)
    assert report["n"] == len(rows)
    assert report["accuracy"] == pytest.approx(hits / len(rows))
    assert run(*arguments) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run(*arguments[:-1], str(tmp_path / "e" / "predictions.csv")) == 2
    assert "is no name for a folder" in capsys.readouterr().err
