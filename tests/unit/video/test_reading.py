from __future__ import annotations

import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from mien.errors import InputError, MissingExtraError
from mien.video import reading
from mien.video.reading import Mark, Tally, open_clip, read_frames
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


def _noise(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (64, 96, 3), np.uint8) for _ in range(count)]


def _read(path: Path) -> tuple[int, bool]:
    """Returns the frames of a clip, and whether it says that these are all."""
    clip, tally = open_clip(path), Tally()
    return len(list(read_frames(clip, tally=tally))), tally.is_whole(clip)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts", "flv"])
@pytest.mark.parametrize("sound", [None, "aac"])
def test_whole_clips_are_whole(ending: str, sound: str | None, tmp_path: Path) -> None:
    assert _read(write_clip(tmp_path / f"a.{ending}", _numbered(12), sound=sound)) == (12, True)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
def test_a_clock_that_starts_late_is_no_fault(ending: str, tmp_path: Path) -> None:
    times = [5000 + index / 25 for index in range(12)]
    path = write_clip(tmp_path / f"a.{ending}", _numbered(12), times_s=times)
    assert _read(path) == (12, True)
    clip = open_clip(path)
    assert clip.duration_s == pytest.approx(12 / 25, abs=0.05)
    assert next(iter(read_frames(clip))).time_s == pytest.approx(0)


@pytest.mark.parametrize("ending", ["ts", "mkv", "mp4", "avi", "flv"])
def test_a_clip_damaged_in_the_middle_is_not_whole(ending: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / f"a.{ending}", _noise(24))
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half : half + len(data) // 10] = bytes(len(data) // 10)
    path.write_bytes(data)
    frames, whole = _read(path)
    assert 8 < frames < 24
    assert not whole


def test_a_transport_stream_with_a_hole_is_read_on_both_sides(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.ts", _noise(24), sound="aac")
    data = path.read_bytes()
    half = len(data) // 2 // 188 * 188
    path.write_bytes(data[:half] + data[half + 188 * 40 :])
    clip, tally = open_clip(path), Tally()
    times = [frame.time_s for frame in read_frames(clip, tally=tally)]
    assert times[-1] - times[0] == pytest.approx(23 / 25, abs=0.01)
    assert tally.damaged
    assert not tally.is_whole(clip)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("at", [0, 12])
def test_zeros_inside_a_packet_are_seen_where_the_decoder_says_nothing(
    at: int, ending: str, codec: str, tmp_path: Path
) -> None:
    if codec == "libx265" and not _can_encode(codec):
        pytest.skip("this FFmpeg has no x265")
    path = write_clip(tmp_path / f"a.{ending}", _noise(16), codec=codec)
    assert _read(path) == (16, True)
    data, (start, size) = bytearray(path.read_bytes()), _packets(path)[at]
    start += size // 2
    # A transport stream cuts packets into pieces of 184 bytes.
    length = 60 if ending == "ts" else size // 4
    start = start // 188 * 188 + 100 if ending == "ts" else start
    data[start : start + length] = bytes(length)
    path.write_bytes(data)
    assert _read(path)[1] is False


def test_zeros_that_are_no_hole() -> None:
    from mien.video.blocks import has_hole

    header = bytes([1, 100, 0, 10, 255])  # lengths of four bytes
    whole = b"\0\0\0\x05abc\0\0" + b"\0\0\0\x03def"
    assert not has_hole(whole, "h264", header)
    assert has_hole(b"\0\0\0\x08ab\0\0\0\0cd", "h264", header)
    assert not has_hole(b"\0\0\0\x01ab\0\0\0\0\0\0\0\x01cd\0\0\0", "h264", None)
    assert has_hole(b"\0\0\0\x01ab\0\0\0\0cd", "h264", None)
    assert not has_hole(b"ab\0\0\0\0cd", "vp9", header)


def _can_encode(codec: str) -> bool:
    return codec in av.codecs_available


def _packets(path: Path) -> list[tuple[int, int]]:
    """Returns position and size of each packet of pictures."""
    with av.open(str(path)) as container:
        return [(p.pos or 0, p.size) for p in container.demux(video=0) if p.size]


def test_an_animation_that_is_too_large_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [Image.new("RGB", (64, 48), (40 * index, 90, 60)) for index in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    monkeypatch.setattr("mien.video.animation.MAX_BYTES", 100)
    with pytest.raises(InputError, match=r"the limit is 100. Convert it to MP4"):
        open_clip(tmp_path / "a.gif")


def test_a_clock_that_begins_anew_loses_no_frame(tmp_path: Path) -> None:
    once = write_clip(tmp_path / "a.ts", _numbered(40)).read_bytes()
    (tmp_path / "b.ts").write_bytes(once + once)
    times = [frame.time_s for frame in read_frames(open_clip(tmp_path / "b.ts"))]
    assert len(times) == 80
    assert np.diff(times) == pytest.approx(1 / 25, abs=0.002)


def test_a_stream_that_begins_midway_is_no_traceback(
    clip_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = reading.import_av().open
    failed: list[int] = []

    class Midway:
        """A container in which PyAV meets a packet of a stream that was not there before."""

        def __init__(self, container: Any) -> None:
            self._container = container

        def __enter__(self) -> Midway:
            return self

        def __exit__(self, *_: object) -> None:
            self._container.close()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._container, name)

        def demux(self) -> Iterator[Any]:
            for number, packet in enumerate(self._container.demux()):
                yield packet
                if number == 9 and not failed:
                    failed.append(number)
                    raise IndexError("list index out of range")

    clip, tally = open_clip(clip_file), Tally()
    monkeypatch.setattr(av, "open", lambda *a, **k: Midway(real(*a, **k)))
    assert len(list(read_frames(clip, tally=tally))) == 40
    assert tally.damaged == 1
    assert not tally.is_whole(clip)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.avif"])
def test_animations_are_read_frame_by_frame(name: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (64, 48), (40 * index, 90, 60)) for index in range(5)]
    frames[0].save(
        tmp_path / name, save_all=True, append_images=frames[1:], duration=[80, 80, 80, 80, 180]
    )
    clip = open_clip(tmp_path / name)
    assert (clip.width, clip.height, clip.frames, clip.fps) == (64, 48, 5, 10)
    read = list(read_frames(clip))
    assert [frame.time_s for frame in read] == pytest.approx([0, 0.08, 0.16, 0.24, 0.32])
    reds = [float(frame.image_rgb[..., 0].mean()) for frame in read]
    assert reds == pytest.approx([0, 40, 80, 120, 160], abs=12)
    rest = list(read_frames(clip, after=read[2].mark()))
    assert [frame.index for frame in rest] == [3, 4]
    assert _read(tmp_path / name) == (5, True)


def test_a_damaged_animation_is_an_error_of_its_own(tmp_path: Path) -> None:
    frames = [Image.fromarray(frame) for frame in _noise(3)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:])
    data = (tmp_path / "a.webp").read_bytes()
    (tmp_path / "a.webp").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="damaged or cut short"):
        open_clip(tmp_path / "a.webp")
