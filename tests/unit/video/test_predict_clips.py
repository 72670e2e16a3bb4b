from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.cli import main
from mien.cli.sources import SAMPLE
from mien.video import VideoConfig
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


def test_clip_without_a_folder_is_only_told(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _run(str(clip), "--fps", "6") == 0
    header, line = capsys.readouterr().out.splitlines()
    assert header.split() == ["clip", "face", "from", "to", "seen", "expressions"]
    assert line.split()[:2] == ["one.mp4", "1"]
    assert "happiness" in line
    assert list(tmp_path.iterdir()) == []


def test_several_clips_get_a_folder_each_and_a_bad_one_is_named(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("no clip")
    out = tmp_path / "out"
    assert _run(str(clip), str(bad), "-o", str(out), "--fps", "4") == 1
    assert "bad.mp4 cannot be read as a video" in capsys.readouterr().err
    assert (out / "one" / "summary.json").is_file()
    assert not (out / "bad").exists()
    assert _run(str(clip), str(clip), "-o", str(out)) == 2


def test_wrong_company_is_refused(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(str(clip), str(SAMPLE)) == 2
    assert "clip among photos" in capsys.readouterr().err
    assert _run(str(clip), "-o", "out.mp4") == 2
    assert "name a folder" in capsys.readouterr().err
    assert _run("--webcam", "0", str(SAMPLE)) == 2
    assert "stands alone" in capsys.readouterr().err
    assert _run("--webcam", "97") == 1
    assert "camera 97" in capsys.readouterr().err
    assert _run("--webcam", "97", "-o", "out") == 2
    assert "writes no files" in capsys.readouterr().err
    assert _run(str(clip), "--smooth", "-1") == 2
    assert "error: --smooth must be at least 0" in capsys.readouterr().err


def test_flags_are_those_of_the_library_and_give_its_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import inspect

    from mien.cli import predict, predict_clips

    flags = inspect.signature(predict.command).parameters
    assert {"fps", "detect_every", "smooth_s", "srt", "min_face", "max_faces"} <= set(flags)
    given: list[VideoConfig] = []
    monkeypatch.setattr(
        predict_clips, "predict_camera", lambda _name, _model, config, **_: given.append(config)
    )
    assert _run("--webcam", "0") == 0
    assert given == [VideoConfig()]
