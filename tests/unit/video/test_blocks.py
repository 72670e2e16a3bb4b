from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mien.video.blocks import is_unbroken
from mien.video.reading import Tally, open_clip, read_frames
from support.clips import write_clip

#: Container -> codec of the clips.
CODECS = {"avi": "ffv1", "flv": "libx264", "mkv": "libx264", "webm": "libvpx"}


def _without_a_tenth(data: bytes) -> bytes:
    half, tenth = len(data) // 2, len(data) // 10
    return data[:half] + data[half + tenth :]


FAULTS: dict[str, Callable[[bytes], bytes]] = {
    "hole": _without_a_tenth,
    "end": lambda data: data[: len(data) * 97 // 100],
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("blocks")
    noise = np.random.default_rng(0).integers(0, 256, (30, 64, 96, 3), np.uint8)
    return {
        ending: write_clip(folder / f"a.{ending}", noise, codec=codec)
        for ending, codec in CODECS.items()
    }


def _is_whole(path: Path) -> tuple[int, bool]:
    clip, tally = open_clip(path), Tally()
    frames = len(list(read_frames(clip, tally=tally)))
    return frames, tally.is_whole(clip)


@pytest.mark.parametrize("ending", CODECS)
def test_a_whole_clip_is_whole(ending: str, clips: dict[str, Path]) -> None:
    assert is_unbroken(clips[ending])
    assert _is_whole(clips[ending]) == (30, True)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("ending", CODECS)
def test_a_clip_that_lacks_frames_is_not_whole(
    ending: str, fault: str, clips: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / f"b.{ending}"
    path.write_bytes(FAULTS[fault](clips[ending].read_bytes()))
    assert not is_unbroken(path)
    frames, whole = _is_whole(path)
    assert 8 < frames <= 30
    assert not whole


def test_a_recording_that_states_no_length_is_unbroken(tmp_path: Path) -> None:
    """What a browser or a camera writes as it goes: the lengths of its lists are not filled in."""
    head = b"\x1a\x45\xdf\xa3\x80"
    unknown, block = b"\x01" + b"\xff" * 7, b"\xa3\x84" + bytes(4)
    cluster = b"\x1f\x43\xb6\x75" + unknown + b"\xe7\x81\x00" + block
    segment = b"\x18\x53\x80\x67" + unknown + cluster + cluster
    path = tmp_path / "a.webm"
    for data, answer in ((head + segment, True), (head + segment[:-1], False)):
        path.write_bytes(data)
        assert is_unbroken(path) is answer
    frame = b"00dc\x03\x00\x00\x00abc\x00"
    movie = b"RIFF" + bytes(4) + b"AVI LIST" + bytes(4) + b"movi" + frame + frame
    for data, answer in ((movie, True), (movie[:-3], False)):
        path.write_bytes(data)
        assert is_unbroken(path) is answer


def test_what_follows_the_end_of_an_avi_is_no_part_of_it(
    clips: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "a.avi"
    path.write_bytes(clips["avi"].read_bytes() + bytes(1000))
    assert is_unbroken(path)


def test_other_files_are_not_judged(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    for data in (b"", b"\0\0\0\x18ftypisom", b"RIFF\0\0\0\0WEBPVP8 "):
        path.write_bytes(data)
        assert is_unbroken(path)
