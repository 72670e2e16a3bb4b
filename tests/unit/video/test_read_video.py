from __future__ import annotations

from pathlib import Path

from support.video_read_video import tracks


def test_clip_without_a_face_has_no_track(shared: Path, tmp_path: Path) -> None:
    assert tracks(shared, "no_face.mp4", tmp_path) == []
