from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from mien.cli import main
from mien.cli.predict_clips import _bar
from mien.cli.sources import SAMPLE
from mien.video import VideoConfig
from support.clips import sample_face, write_clip
from support.terminal import Terminal


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


def test_progress_says_frames_their_rate_and_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    with _bar(Path("holiday.mp4"), quiet=False) as show:
        assert show is not None
        show(10, 100)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue())
    assert re.search(
        r"holiday\.mp4 .*10/100 frames, \d+\.\d per second, left (-:--:--|0:\d\d:\d\d)", shown
    )
    with _bar(Path("holiday.mp4"), quiet=True) as show:
        assert show is None


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
    for output, words in (("out.avi", "must end in .mp4"), (str(clip), "replace the clip itself")):
        assert _run(str(clip), "-o", output) == 2
        assert words in capsys.readouterr().err
    assert _run(str(clip), str(clip), "-o", "out.mp4") == 2
    assert "one file for 2 clips" in capsys.readouterr().err
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


def _moving(path: Path) -> Path:
    frames = [Image.new("RGB", (64, 48), (40 * index, 90, 60)) for index in range(4)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    return path


@pytest.mark.parametrize("pattern", ["", "*", "*.gif", "clip without ending"])
def test_folders_globs_and_any_name_of_clips_are_read(
    tmp_path: Path, pattern: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _moving(tmp_path / "a.gif")
    _moving(tmp_path / "b.webp")
    (tmp_path / "notes.txt").write_text("two clips")
    _moving(tmp_path / "c.png").rename(tmp_path / "clip without ending")
    expected = {"": 3, "*": 3, "*.gif": 1, "clip without ending": 1}[pattern]
    assert _run(str(tmp_path / pattern), "--detector", "none", "--format", "json") == 0
    out, err = capsys.readouterr()
    clips = [json.loads(line) for line in out.splitlines()]
    assert len(clips) == expected
    assert all((clip["frames"], clip["complete"]) == (4, True) for clip in clips)
    assert ("notes.txt (is text)" in err) == (expected == 3)


def test_an_empty_folder_beside_clips_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    _moving(tmp_path / "a.gif")
    words = (str(tmp_path / "a.gif"), str(tmp_path / "empty"), "--detector", "none")
    assert _run(*words) == 1
    out, err = capsys.readouterr()
    assert "a.gif" in out
    assert "empty: no pictures there" in err


def test_sound_that_cannot_be_joined_is_no_fault_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mien.video import encoding

    def damaged(*_: object) -> None:
        raise av.error.ArgumentError(22, "Invalid argument")

    path = write_clip(tmp_path / "a.mp4", [np.zeros((64, 64, 3), np.uint8)] * 6, sound="aac")
    monkeypatch.setattr(encoding, "_sound_packets", damaged)
    assert _run(str(path), "-o", str(tmp_path / "out"), "--detector", "none") == 0
    assert "annotated.mp4 has no sound" in capsys.readouterr().err
    with av.open(str(tmp_path / "out" / "annotated.mp4")) as container:
        assert not container.streams.audio
        assert sum(1 for _ in container.decode(video=0)) == 6


def test_a_broken_clip_says_that_it_is_not_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(12)]
    path = write_clip(tmp_path / "a.ts", noise)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + data[len(data) * 6 // 10 :])
    assert _run(str(path), "--detector", "none", "--format", "json") == 1
    out, err = capsys.readouterr()
    assert "error: " in err
    assert "is not whole: it breaks off or is damaged" in err
    assert json.loads(out)["complete"] is False
