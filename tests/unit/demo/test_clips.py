from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

av = pytest.importorskip("av")

from mien import InputError, MienError
from mien.demo import views
from mien.demo.clips import reading_clip
from mien.demo.config import DemoConfig
from mien.demo.photo import Model
from mien.demo.uploads import UploadStore
from mien.images import decode
from support import needs

pytestmark = needs("matplotlib", "scipy")


def test_clip_is_read_and_its_files_go(model: Model, clip: Path) -> None:
    shares: list[float] = []
    config = DemoConfig(max_seconds=3)
    with UploadStore() as uploads:
        reading = reading_clip(model, clip, uploads=uploads, config=config, progress=shares.append)
        with reading as answer:
            track = answer.summary.tracks[0]
            assert (len(answer.summary.tracks), track.emotion) == (1, "happiness")
            assert answer.summary.frames_read == 20
            with av.open(str(answer.annotated)) as container:
                assert sum(1 for _ in container.decode(video=0)) == 20
            assert decode(answer.timeline).shape[2] == 3
            assert answer.table.count(b"\n") > 15
            assert views.clip_sentence(answer) == "1 face in 2.0 s, 20 frames read."
            view = views.clip_view(answer)
            assert "Expressions over time: face 1 mostly happiness." in view
            assert 'download="timeline.csv"' in view
        assert list(uploads.folder.iterdir()) == []
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_seconds": 1}, "clips of up to 1 seconds, and it lasts 2 s"),
        ({"max_mb": 0.001}, "this page takes 0.001 MB: make it smaller or shorter"),
    ],
)
def test_clips_beyond_the_limits_are_refused(
    model: Model, clip: Path, limits: dict[str, Any], said: str
) -> None:
    with UploadStore() as uploads:
        reading = reading_clip(model, clip, uploads=uploads, config=DemoConfig(**limits))
        with pytest.raises(InputError, match=said), reading:
            pass
        assert list(uploads.folder.iterdir()) == []


def test_a_full_disk_is_no_fault_of_the_visitor(
    model: Model, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise MienError("/tmp/mien-demo-secret/work cannot be written: No space left on device.")

    monkeypatch.setattr("mien.demo.clips.read_video", full)
    with UploadStore() as uploads:
        reading = reading_clip(model, clip, uploads=uploads, config=DemoConfig())
        with pytest.raises(InputError, match="no room for your clip just now"), reading:
            pass
        assert list(uploads.folder.iterdir()) == []


def test_a_clip_without_faces_says_so(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "grey.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 96, "yuv420p"
        grey = np.full((96, 96, 3), 128, np.uint8)
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
    with (
        UploadStore() as uploads,
        reading_clip(model, path, uploads=uploads, config=DemoConfig()) as answer,
    ):
        assert views.clip_sentence(answer) == "No face found in 0.5 s, 5 frames read."
        assert "<section" not in views.clip_view(answer)
        json.dumps(answer.summary.to_dict())
        broken = replace(answer.summary, complete=False, frames_failed=2)
        said = views.clip_sentence(replace(answer, summary=broken))
        assert "parts of it are damaged. The detector failed on 2 of them." in said
