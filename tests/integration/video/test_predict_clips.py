from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from mien.cli import main
from support.clips import sample_face, write_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame = np.full((160, 240, 3), 120, np.uint8)
    frame[20:140, 60:180] = sample_face(120)
    return write_clip(tmp_path_factory.mktemp("clip") / "one.mp4", [frame] * 24, fps=12)


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(("predict", *arguments))
    return int(stop.value.code or 0)


def test_json_is_the_summary_and_csv_the_timeline(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert _run(str(clip), "-o", str(out), "--format", "json", "--srt", "--detect-every", "2") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((out / "summary.json").read_text())
    assert printed["config"]["detect_every"] == 2
    assert (out / "subtitles.srt").read_text().count("-->") == 1
    assert _run(str(clip), "-o", str(out)) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert _run(str(clip), "--format", "csv", "--detect-every", "2") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert rows == list(csv.DictReader(io.StringIO((out / "timeline.csv").read_text())))


def test_camera_is_answered_line_by_line(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("--webcam", str(clip), "--format", "json", "--detect-every", "1") == 0
    results = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert results
    assert results[-1]["faces"][0]["track_id"] == 1
    assert _run("--webcam", str(clip)) == 0
    assert "fps" in capsys.readouterr().out
