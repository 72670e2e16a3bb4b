"""What the tests of read video share."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien import EmotionRecognizer
from mien.video import VideoConfig, read_video
from support.clips import ColorFaces, crossing, write_clip

BARE = {"annotate": False, "picture": False}


@pytest.fixture(scope="module")
def recognizer() -> EmotionRecognizer:
    return EmotionRecognizer(detector=ColorFaces(), threads=1)


@pytest.fixture(scope="module")
def crossing_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crossing")
    return write_clip(folder / "crossing.mp4", crossing(75), sound="aac")


@pytest.fixture(scope="module")
def results(
    crossing_clip: Path, recognizer: EmotionRecognizer, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("results") / "out"
    read_video(crossing_clip, folder, recognizer=recognizer, config=_config())
    return folder


def _config(**values: object) -> VideoConfig:
    return VideoConfig(**{"segment_s": 0.5, "srt": True, **values})  # type: ignore[arg-type]


def tracks(shared: Path, name: str, tmp_path: Path) -> list[tuple[float, float, float]]:
    clip = shared / "data" / "media" / name
    config = VideoConfig(fps=10, detect_every=1, **BARE)
    result = read_video(
        clip, tmp_path / "out", recognizer=EmotionRecognizer(threads=1), config=config
    )
    end = result.summary.duration_s
    return [(track.first_s, track.last_s, end) for track in result.summary.tracks]
