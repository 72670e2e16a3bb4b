from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from mien.cli import main
from mien.video.reading import open_clip, read_frames
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


def test_a_file_as_output_is_the_annotated_copy_alone(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "new" / "copy.mp4"
    assert _run(str(clip), "-o", str(copy)) == 0
    assert "happiness" in capsys.readouterr().out
    assert list(copy.parent.iterdir()) == [copy], "and nothing else, hidden or not"
    frames = [frame.image_rgb for frame in read_frames(open_clip(copy))]
    assert len(frames) == 24
    yellow = np.abs(frames[0].astype(int) - (240, 228, 66)).sum(axis=2) < 60
    assert yellow.sum() > 200, "a box and its label from the first frame on"
    assert _run(str(clip), "-o", str(copy)) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert _run(str(clip), "-o", str(copy), "--overwrite") == 0


def test_intervals_are_a_tidy_table(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert _run(str(clip), "-o", str(out), "--every", "0.5") == 0
    rows = list(csv.DictReader(io.StringIO((out / "intervals.csv").read_text())))
    assert [(row["start_s"], row["end_s"], row["track_id"]) for row in rows] == [
        (str(at / 2), str((at + 1) / 2), "1") for at in range(4)
    ]
    assert sum(int(row["frames"]) for row in rows) == 24
    assert {"uncertain_share", "quality_flags", "p_happiness"} <= set(rows[0])
    pq = pytest.importorskip("pyarrow.parquet")
    for name in ("timeline", "intervals"):
        table = pq.read_table(out / f"{name}.parquet")
        assert table.num_rows == {"timeline": 24, "intervals": 4}[name]
        read = csv.DictReader(io.StringIO((out / f"{name}.csv").read_text()))
        assert table["quality_flags"].to_pylist() == [row["quality_flags"].split() for row in read]
    capsys.readouterr()
    assert _run(str(clip), "--every", "1", "--format", "csv") == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_several_clips_are_one_table_and_one_remark(
    clip: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    empty = write_clip(tmp_path / "empty.mp4", [np.full((160, 240, 3), 120, np.uint8)] * 12, fps=12)
    monkeypatch.setattr("mien.video.run.write_parquet", lambda *_: False)
    out = str(tmp_path / "out")
    command = (str(clip), str(empty), "-o", out, "--every", "1", "--format", "csv")
    assert _run(*command) == 0
    printed = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(printed.out)))
    assert [(row["source"], row["start_s"], row["emotion"]) for row in rows] == [
        (str(clip), "0.0", "happiness"),
        (str(clip), "1.0", "happiness"),
        (str(empty), "", ""),
    ]
    assert printed.err.count("pip install pyarrow") == 1
