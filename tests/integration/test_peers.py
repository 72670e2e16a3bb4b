"""The peers' benchmark: its arithmetic, its runners and the page, without any peer installed."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mien.benchmarking.processes import run_fresh
from mien.cli.sources import SAMPLE
from support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PEERS = ROOT / "benchmarks" / "peers"
NAMES = ("accuracy", "environments", "page", "protocol", "run", "standins")


def output_of(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip().splitlines()[-1]


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Imports a script of the folder by name, and forgets it afterwards."""
    monkeypatch.syspath_prepend(str(PEERS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if name in NAMES:
            del sys.modules[name]


def test_common_faces_leave_out_what_one_tool_cannot_say(peers: Any, shared: Path) -> None:
    faces, labels = peers("accuracy").load_common_faces(f"ferplus:{shared / 'data' / 'ferplus'}")
    assert faces.shape == (len(labels), 48, 48)
    assert len(labels) < 3199
    assert set(labels) == {
        "anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"
    }  # fmt: skip


def test_mien_runner_answers_all_three_questions(tmp_path: Path) -> None:
    runner = [sys.executable, str(PEERS / "runner_mien.py")]
    first = run_fresh([*runner, "first", str(SAMPLE)])
    assert first.answer == "happiness"
    assert first.peak_bytes is not None
    assert first.peak_bytes > 30e6
    faces = tmp_path / "faces.npy"
    np.save(faces, np.random.default_rng(0).integers(0, 256, (3, 48, 48), np.uint8))
    labels = json.loads(output_of([*runner, "label", str(faces)]))
    assert len(labels) == 3
    steady = json.loads(output_of([*runner, "steady", str(SAMPLE), str(faces), "--repeats", "2"]))
    assert steady["answers"] == ["happiness"]
    assert len(steady["photo_ms"]) == 2
    assert len(steady["crops_per_second"]) == 3


@pytest.mark.slow
def test_standin_is_a_model_folder_of_its_size(peers: Any, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    import tomllib

    from mien import EmotionRecognizer

    entry = tomllib.loads((PEERS / "peers.toml").read_text())["standins"]["deepface"]
    facts = peers("standins").make_standin(tmp_path / "deepface", entry)
    # By hand: 1,664 + 2 x 36,928 + 73,856 + 147,584 in convolutions, and in dense layers
    # 132,096 + 1,049,600 + 7,175.
    assert facts["parameters"] == 1_485_831
    assert facts["note"] == "size stand-in, weights random"
    probs = EmotionRecognizer(tmp_path / "deepface", detector="none").predict_faces(
        [np.zeros((48, 48), np.uint8)] * 3
    )
    assert probs.shape == (3, 7)
    assert peers("standins").make_standin(tmp_path / "deepface", entry) == facts
