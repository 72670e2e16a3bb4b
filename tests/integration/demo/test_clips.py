from __future__ import annotations

from pathlib import Path

import pytest

av = pytest.importorskip("av")
pytest.importorskip("matplotlib")
pytest.importorskip("scipy")

from mien import InputError
from mien.demo.clips import reading_clip
from mien.demo.config import DemoConfig
from mien.demo.photo import Model
from mien.demo.uploads import UploadStore


def test_clips_that_hide_their_length_are_stopped(model: Model, clip: Path, tmp_path: Path) -> None:
    # As browsers record: Matroska without a duration.
    bare = tmp_path / "recorded.webm"
    with av.open(str(clip)) as source:
        photos = [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]
    with av.open(str(bare), "w", format="matroska", options={"live": "1"}) as container:
        stream = container.add_stream("h264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 288, 288, "yuv420p"
        for photo in photos:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(photo, format="rgb24")))
        container.mux(stream.encode())
    with av.open(str(bare)) as container:
        assert container.duration is None
    with UploadStore() as uploads:
        reading = reading_clip(model, bare, uploads=uploads, config=DemoConfig(max_seconds=1))
        with pytest.raises(InputError, match="the clip lasts longer than that"), reading:
            pass
        assert list(uploads.folder.iterdir()) == []
        with reading_clip(model, bare, uploads=uploads, config=DemoConfig(max_seconds=4)) as answer:
            assert answer.summary.frames_read == 20
