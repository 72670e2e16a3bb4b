from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mien.errors import InputError, MissingExtraError
from mien.video.reading import Mark, open_clip, read_frames
from support.clips import turn_sideways, write_clip


def _numbered(count: int, size: tuple[int, int] = (96, 64)) -> list[np.ndarray]:
    """Frames whose brightness tells their number; the left half of each is red."""
    frames = []
    for index in range(count):
        frame = np.full((size[1], size[0], 3), 40 + 4 * index, np.uint8)
        frame[:, : size[0] // 2, 0] += 40
        frames.append(frame)
    return frames


def _number(image_rgb: np.ndarray) -> int:
    return round((float(image_rgb[..., 1].mean()) - 40) / 4)


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "a.mp4", _numbered(40), sound="aac")


def test_every_frame_comes_once_with_its_time(clip_file: Path) -> None:
    clip = open_clip(clip_file)
    assert (clip.width, clip.height, clip.fps, clip.has_audio) == (96, 64, 25.0, True)
    frames = list(read_frames(clip))
    assert [_number(frame.image_rgb) for frame in frames] == list(range(40))
    assert [frame.index for frame in frames] == list(range(40))
    assert [frame.time_s for frame in frames] == pytest.approx([i / 25 for i in range(40)])


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.3, 0.31, 1.2, 1.25, 2.0]
    clip = open_clip(write_clip(tmp_path / "a.mp4", _numbered(7), times_s=times))
    assert [frame.time_s for frame in read_frames(clip)] == pytest.approx(times, abs=1e-3)
    wanted = [frame.time_s for frame in read_frames(clip, fps=2, shown=False)]
    assert wanted == pytest.approx([0.0, 1.2, 2.0], abs=1e-3)


def test_sampling_takes_the_first_frame_of_each_stretch(clip_file: Path) -> None:
    clip = open_clip(clip_file)
    assert [f.index for f in read_frames(clip, fps=5, shown=False)] == list(range(0, 40, 5))
    both = list(read_frames(clip, fps=5))
    assert len(both) == 40
    assert [f.index for f in both if f.wanted] == list(range(0, 40, 5))


def test_sideways_clip_is_turned_upright(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", _numbered(3))
    turn_sideways(path)
    clip = open_clip(path)
    assert (clip.width, clip.height) == (64, 96)
    image_rgb = next(iter(read_frames(clip))).image_rgb
    assert image_rgb.shape == (96, 64, 3)
    red = image_rgb[..., 0].astype(int) - image_rgb[..., 1]
    assert red[:40].mean() > 30, "turned clockwise, the left half comes to the top"
    assert abs(red[56:].mean()) < 8


def test_oblong_pixels_become_square(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", _numbered(3), aspect=Fraction(4, 3))
    clip = open_clip(path)
    assert (clip.width, clip.height) == (128, 64)
    assert next(iter(read_frames(clip))).image_rgb.shape == (64, 128, 3)


@pytest.mark.parametrize("at", [0, 17, 38, 39])
@pytest.mark.parametrize("fps", [0, 5])
def test_reading_goes_on_after_a_mark(clip_file: Path, at: int, fps: float) -> None:
    clip = open_clip(clip_file)
    frames = list(read_frames(clip, fps=fps))
    rest = list(read_frames(clip, fps=fps, after=frames[at].mark()))
    assert [(f.index, f.pts, f.wanted) for f in rest] == [
        (f.index, f.pts, f.wanted) for f in frames[at + 1 :]
    ]
    for one, other in zip(rest, frames[at + 1 :], strict=True):
        assert (one.image_rgb == other.image_rgb).all()


def test_mark_that_seeking_misses_is_found_from_the_start(clip_file: Path) -> None:
    clip = open_clip(clip_file)
    mark = list(read_frames(clip))[20].mark()
    wrong = Mark(mark.index, mark.pts, mark.crc ^ 1)
    assert [f.index for f in read_frames(clip, after=wrong)] == list(range(21, 40))


def test_broken_off_clip_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (64, 96, 3), np.uint8) for _ in range(40)]
    whole = write_clip(tmp_path / "a.mkv", noise)
    cut = tmp_path / "b.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert 10 <= len(list(read_frames(open_clip(cut)))) < 30


def _only_sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        block = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        block.sample_rate, block.pts = 16000, 0
        container.mux(stream.encode(block))
        container.mux(stream.encode(None))
    return path


def _headers_only(path: Path) -> Path:
    """A video stream without a frame: the index of a clip, its pictures blanked out."""
    data = bytearray(write_clip(path, _numbered(5)).read_bytes())
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[start:end] = bytes(end - start)
    path.write_bytes(bytes(data))
    return path


def test_what_is_no_clip_is_refused_with_words(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is no clip at all")
    whole = write_clip(tmp_path / "whole.mp4", _numbered(9))
    data = whole.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: data.index(b"moov") - 4])
    cases = {
        tmp_path / "missing.mp4": "no such file",
        tmp_path / "empty.mp4": "0 bytes",
        tmp_path / "text.mp4": "cannot be read as a video",
        tmp_path / "cut.mp4": "cannot be read as a video",
        _only_sound(tmp_path / "sound.mp4"): "no video, only audio",
        _headers_only(tmp_path / "blank.mp4"): "no frame of it can be read",
    }
    for path, words in cases.items():
        with pytest.raises(InputError, match=words):
            open_clip(path)


def test_absurd_frames_are_refused_before_they_are_decoded(clip_file: Path) -> None:
    with pytest.raises(InputError, match=r"96x64 are too large; at most 6,000"):
        open_clip(clip_file, max_pixels=6000)


def test_missing_extra_is_named(clip_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r'pip install "mien\[video\]"'):
        open_clip(clip_file)
