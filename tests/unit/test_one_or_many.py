"""One thing where many are expected, and the reverse: an answer, or the right call."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mien
from mien import EmotionRecognizer
from mien.cli.sources import SAMPLE
from mien.errors import ConfigError, InputError, MissingExtraError

GRAY = np.full((48, 48, 3), 90, np.uint8)
MODEL = "mienet_s.ferplus8"


@pytest.fixture(scope="module")
def recognizer() -> EmotionRecognizer:
    return EmotionRecognizer(detector="none")


@pytest.mark.parametrize(
    ("sources", "count"),
    [
        (str(SAMPLE), 1), (SAMPLE, 1), (SAMPLE.read_bytes(), 1), (GRAY, 1), (GRAY[..., 0], 1),
        ([SAMPLE], 1), ((SAMPLE, GRAY), 2), (np.stack([GRAY] * 3), 3), ([], 0),
        (np.stack([GRAY[..., 0]] * 5), 5), (iter([GRAY, GRAY]), 2),
    ],
)  # fmt: skip
def test_one_picture_is_one_of_many(
    sources: Any, count: int, recognizer: EmotionRecognizer
) -> None:
    results = list(recognizer.predict_many(sources))
    assert [len(result.faces) for result in results if isinstance(result, mien.ImageResult)] == (
        [1] * count
    )


@pytest.mark.parametrize(
    ("faces", "count"),
    [(str(SAMPLE), 1), (GRAY, 1), ([GRAY, GRAY], 2), (np.stack([GRAY] * 3), 3), ((), 0)],
)
def test_one_face_is_one_of_many(faces: Any, count: int, recognizer: EmotionRecognizer) -> None:
    assert recognizer.predict_faces(faces).shape == (count, 8)
    assert recognizer.predict_faces((GRAY,)).shape == (1, 8)


@pytest.mark.parametrize("call", ["predict", "features"])
def test_many_where_one_is_expected_names_the_right_call(
    call: str, recognizer: EmotionRecognizer
) -> None:
    with pytest.raises(InputError, match="call predict_many"):
        getattr(recognizer, call)([str(SAMPLE)])


def test_many_clips_where_one_is_expected_are_refused() -> None:
    pytest.importorskip("av")
    from mien.video.reading import open_clip

    clips: Any = ["a.mp4", "b.mp4"]
    for call in (lambda: next(iter(mien.predict_video(clips))), lambda: open_clip(clips)):
        with pytest.raises(InputError, match=r"at a time; got 2 in a list\. Call it once for each"):
            call()
    pictures: Any = [SAMPLE]
    with pytest.raises(InputError, match="or give them one by one"):
        mien.explain(pictures)


def test_one_source_of_a_job_is_enough(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    from mien.jobs import JobConfig, predict_files

    config = JobConfig(workers=1, detector="none")
    assert predict_files(str(SAMPLE), tmp_path / "a.parquet", config=config).pictures == 1
    assert predict_files([SAMPLE], tmp_path / "b.parquet", config=config).pictures == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda: mien.compare(MODEL, "folder:none"),
        lambda: mien.compare([Path("runs/a")], "folder:none"),
        lambda: mien.ensemble(MODEL, "folder:none", "both"),
    ],
)
def test_one_model_is_no_comparison(call: Callable[[], object]) -> None:
    pytest.importorskip("onnx")
    with pytest.raises(ConfigError, match="got 1"):
        call()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"labels": ["happy", "sad"]}, r"LabelSchema\('mine'"),
        ({"labels": ("happy", "sad")}, r"LabelSchema\('mine'"),
        ({"labels": 8}, "got 8"),
        ({"detector": ["mien"]}, r"got \['mien'\]"),
        ({"model": [MODEL]}, "one path or name"),
        ({"model": 5}, "one path or name"),
        ({"backend": 0}, "no backend named 0"),
        ({"device": 0}, "device must be"),
        ({"prior": [1, 2]}, r"prior \[1, 2\]"),
        ({"threads": "two"}, "threads must be a number"),
        ({"batch_size": "all"}, "batch_size must be a number"),
        ({"min_face": "small"}, "min_face must be a number"),
        ({"max_faces": [1]}, "max_faces must be a number"),
    ],
)
def test_options_of_a_wrong_kind_are_refused(options: dict[str, Any], words: str) -> None:
    for make in (EmotionRecognizer, lambda **given: mien.predict(GRAY, **given)):
        with pytest.raises(ConfigError, match=words):
            make(**options)


def test_tracking_without_scipy_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.video import VideoRecognizer, track_live

    for name in ("scipy", "scipy.optimize"):
        monkeypatch.setitem(sys.modules, name, None)
    recognizer = EmotionRecognizer(detector="none")
    with pytest.raises(MissingExtraError, match=r"mien\[video\]"):
        list(track_live(iter([GRAY] * 3), recognizer=recognizer))
    video = VideoRecognizer(recognizer)
    with pytest.raises(MissingExtraError, match="scipy"):
        [video.read(GRAY, index / 10) for index in range(3)]


@pytest.mark.parametrize("name", ["a.mp4", "0", "a.mkv"])
def test_clips_without_av_name_their_extra(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    source = name if name == "0" else os.fspath(tmp_path / name)
    if name != "0":
        Path(source).write_bytes(b"\0\0\0\x18ftypisom")
    with pytest.raises(MissingExtraError, match=r"mien\[video\]"):
        list(mien.predict_video(source, recognizer=EmotionRecognizer(detector="none")))
