from __future__ import annotations

import pickle
import re
import shutil
import threading
import types
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mien
from mien import ConfigError, EmotionRecognizer, ErrorResult, ImageResult, InputError
from mien.cli.sources import SAMPLE
from mien.data import read_manifest
from mien.data.faces import load_faces
from mien.detectors import Detections, Framing
from mien.hub import read_model_folder, write_config
from mien.images import ImageSource, decode, encode
from mien.images.reading import open_image
from support.two_corners import Corners


@pytest.fixture(scope="module")
def recognizer() -> EmotionRecognizer:
    return EmotionRecognizer()


@pytest.fixture(scope="module")
def ready() -> EmotionRecognizer:
    return EmotionRecognizer(detector="none")


def _faces(n: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (48, 48, 3), dtype=np.uint8) for _ in range(n)]


def test_sample_photo_shows_one_happy_face(recognizer: EmotionRecognizer) -> None:
    result = recognizer.predict(SAMPLE)
    assert [face.emotion for face in result.faces] == ["happiness"]
    x1, y1, x2, y2 = result.faces[0].box_xyxy
    assert x1 < 224 < x2
    assert y1 < 115 < y2
    assert set(result.timings_ms) == {"decode", "detect", "crop", "inference"}


def test_every_form_of_a_picture_gives_the_same_answer(recognizer: EmotionRecognizer) -> None:
    rgb = decode(SAMPLE)
    expected = recognizer.predict(rgb).faces
    with SAMPLE.open("rb") as stream:
        forms: list[ImageSource] = [
            str(SAMPLE), SAMPLE, SAMPLE.read_bytes(), stream, Image.open(SAMPLE),
        ]  # fmt: skip
        for form in forms:
            assert recognizer.predict(form).faces == expected
    assert recognizer.predict(rgb[:, :, ::-1], bgr=True).faces == expected


def test_predict_faces_equals_detector_none(ready: EmotionRecognizer) -> None:
    faces = _faces(5)
    probs = ready.predict_faces(faces)
    assert probs.shape == (5, 8)
    assert probs.sum(axis=1) == pytest.approx(np.ones(5))
    for row, face in zip(probs, faces, strict=True):
        answer = ready.predict(face).faces[0]
        assert list(answer.probs.values()) == pytest.approx(row.tolist(), abs=1e-5)


def test_bad_picture_becomes_an_error_in_its_place(ready: EmotionRecognizer) -> None:
    results = list(ready.predict_many([_faces(1)[0], b"no picture", "missing.jpg", SAMPLE]))
    kinds = [type(result) for result in results]
    assert kinds == [ImageResult, ErrorResult, ErrorResult, ImageResult]
    assert "missing.jpg" in results[2].source
    with pytest.raises(InputError):
        ready.predict(b"no picture")


def test_one_recognizer_answers_many_threads_alike(recognizer: EmotionRecognizer) -> None:
    expected = recognizer.predict(SAMPLE).faces
    start = threading.Barrier(6)

    def work(_: int) -> list[tuple[mien.FaceEmotion, ...]]:
        start.wait()
        return [recognizer.predict(SAMPLE).faces for _ in range(3)]

    with ThreadPoolExecutor(6) as pool:
        for answers in pool.map(work, range(6)):
            assert answers == [expected] * 3


def test_long_stream_is_read_as_it_is_answered(ready: EmotionRecognizer) -> None:
    read = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal read
        while True:
            read += 1
            yield _faces(1)[0]

    stream = ready.predict_many(endless(), workers=2)
    for _ in range(100):
        next(stream)
    assert isinstance(stream, Generator)
    stream.close()
    assert read < 250


@pytest.mark.parametrize("labels", ["hes3", "fer7", "ferplus8", mien.HES3])
def test_labels_map_to_another_schema(labels: str | mien.LabelSchema) -> None:
    mapped = EmotionRecognizer(detector="none", labels=labels)
    probs = mapped.predict_faces(_faces(3))
    assert probs.shape == (3, len(mapped.labels))
    assert probs.sum(axis=1) == pytest.approx(np.ones(3))


def test_no_face_is_a_result_not_an_error(recognizer: EmotionRecognizer) -> None:
    result = recognizer.predict(np.full((100, 100, 3), 127, np.uint8))
    assert result.faces == ()


def test_max_faces_keeps_that_many() -> None:
    recognizer = EmotionRecognizer(detector=Corners(), max_faces=2)
    assert len(recognizer.predict(np.zeros((20, 90, 3), np.uint8)).faces) == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"max_faces": 0}, "max_faces"),
        ({"labels": "hes4"}, "hes3"),
        ({"detector": "har"}, "haar"),
        ({"backend": "onxn"}, "onnx"),
        ({"labels": mien.LabelSchema("x", ("cat", "dog"))}, "no label in common"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        EmotionRecognizer(**options)


def test_real_photos_read_as_a_person_would(recognizer: EmotionRecognizer, shared: Path) -> None:
    media = shared / "data" / "media"
    group = recognizer.predict(media / "multi_face.jpg")
    assert len(group.faces) >= 4
    assert sum(face.emotion == "happiness" for face in group.faces) >= 4
    (single,) = recognizer.predict(media / "single_face.jpg").faces
    assert single.emotion == "happiness"
    assert recognizer.predict(media / "free-mountain-vector-01.jpg").faces == ()


def _large_photo(side: int) -> bytes:
    photo = Image.open(SAMPLE).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    return encode(np.asarray(photo), suffix=".jpg")


def test_large_photo_reads_like_the_same_pixels_whole_and_is_kept_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recognizer = EmotionRecognizer(detector="mien:fast")
    data = _large_photo(1400)
    assert open_image(data, min_side=recognizer.pipeline.detector.working_side).factors == (2, 2)
    quick = recognizer.predict(data)
    ((kept, image_rgb),) = recognizer.stream([data], keep_images=True)
    assert image_rgb is not None
    assert image_rgb.shape == (1400, 1400, 3)
    assert kept.faces == quick.faces  # type: ignore[union-attr]
    monkeypatch.setattr(recognizer.pipeline.detector, "working_side", None)
    whole = recognizer.predict(data)
    assert (quick.width, quick.height) == (whole.width, whole.height) == (1400, 1400)
    assert len(quick.faces) == len(whole.faces) == 1
    a, b = quick.faces[0], whole.faces[0]
    assert a.box_xyxy == pytest.approx(b.box_xyxy, abs=0.02 * 1400)
    assert a.landmarks is not None
    assert b.landmarks is not None
    assert np.abs(np.subtract(a.landmarks, b.landmarks)).max() < 0.02 * 1400
    assert list(a.probs.values()) == pytest.approx(list(b.probs.values()), abs=0.02)


def _detections(box: list[float], score: float) -> Detections:
    return Detections(np.array([box], np.float32), np.array([score], np.float32))


class Middle:
    """Finds one face of a given share of the picture in its middle; keeps what it was given."""

    name = "middle"
    framing = Framing()
    working_side: int | None = 200

    def __init__(self, share: float) -> None:
        self.share = share
        self.seen: list[tuple[tuple[int, ...], float]] = []

    def detect(
        self, image_rgb: np.ndarray, *, min_face: float = 20.0, max_faces: int | None = None
    ) -> Detections:
        self.seen.append((image_rgb.shape[:2], min_face))
        side = image_rgb.shape[0]
        low, high = side * (0.5 - self.share / 2), side * (0.5 + self.share / 2)
        return _detections([low, low, high, high], 0.9)


@pytest.mark.parametrize(("share", "whole"), [(0.5, False), (0.1, True)])
def test_small_face_is_cut_from_the_whole_picture(share: float, whole: bool) -> None:
    # 800 pixels shrink to 200, where half is 100 pixels, and a tenth only 20: too few for 48.
    detector: Any = Middle(share)
    recognizer = EmotionRecognizer(detector=detector, min_face=40)
    data = encode(np.asarray(Image.open(SAMPLE).resize((800, 800))), suffix=".jpg")
    crops = recognizer.pipeline.prepare(data).crops
    assert detector.seen == [((200, 200), 10.0)]
    face = recognizer.predict(data).faces[0]
    assert face.box_xyxy == pytest.approx([400 - 400 * share] * 2 + [400 + 400 * share] * 2)
    other: Any = Middle(share)
    full = EmotionRecognizer(detector=other).pipeline.prepare(decode(data)).crops
    assert crops.shape == full.shape
    assert (crops == full).all() == whole
    assert np.abs(crops.astype(int) - full.astype(int)).mean() < 3


def test_detector_with_an_unrelated_config_gets_every_pixel() -> None:
    class Other(Middle):
        working_side = None
        config = types.SimpleNamespace(max_side=100)

    detector: Any = Other(0.5)
    EmotionRecognizer(detector=detector, min_face=40).predict(_large_photo(800))
    assert detector.seen == [((800, 800), 40)]


def test_variant_keeps_what_it_is_not_told_to_change() -> None:
    recognizer = EmotionRecognizer(detector=Corners(), min_face=33, max_faces=2)
    other = recognizer.variant(labels="hes3")
    assert (other.pipeline.min_face, other.pipeline.max_faces) == (33, 2)
    assert other.pipeline.detector is recognizer.pipeline.detector
    assert len(other.predict(np.zeros((20, 90, 3), np.uint8)).faces) == 2
    changed = other.variant(min_face=10, max_faces=5)
    assert (changed.pipeline.min_face, changed.pipeline.max_faces) == (10, 5)
    assert changed.labels == other.labels


@pytest.fixture(scope="module")
def wide_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model with a margin around the squares that a detector gives."""
    folder = tmp_path_factory.mktemp("models") / "wide"
    shutil.copytree(read_model_folder().path, folder)
    write_config(folder, replace(read_model_folder().config, crop_margin=1.3))
    return folder


@pytest.mark.parametrize("size", [(48, 48), (60, 41), (37, 90)])
def test_picture_that_is_a_face_is_cut_alike_on_every_path(
    wide_model: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    image_rgb = np.random.default_rng(3).integers(0, 256, (*size, 3), np.uint8)
    (tmp_path / "happiness").mkdir()
    Image.fromarray(image_rgb).save(tmp_path / "happiness" / "a.png")
    manifest = read_manifest(f"folder:{tmp_path}", labels=mien.FERPLUS8)
    for model in (None, wide_model):
        ready = EmotionRecognizer(model, detector="none")
        trained_on = load_faces(manifest, ready.config.preprocessing)
        assert (ready.pipeline.prepare(image_rgb).crops == trained_on).all()
        expected = ready.pipeline.probs(ready.pipeline.logits(trained_on))[0]
        for probs in (
            ready.predict_faces([image_rgb])[0],
            EmotionRecognizer(model).predict_faces([image_rgb])[0],
            list(ready(image_rgb).faces[0].probs.values()),
        ):
            assert list(probs) == pytest.approx(expected.tolist(), abs=1e-7)


class Broken:
    """A detector that fails in one of the ways that detectors do."""

    def __init__(self, how: str) -> None:
        self.how = how

    def detect(self, image_rgb: np.ndarray, **_: object) -> object:
        if image_rgb.shape[0] != 50:
            return Detections.empty()
        if self.how == "nan":
            return _detections([np.nan, 0, 9, 9], 0.5)
        if self.how == "nothing":
            return None
        if self.how == "outside":
            return _detections([900, 900, 950, 950], 0.5)
        raise RuntimeError("out of luck")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("nan", "Broken.*not finite"),
        ("raises", "Broken.*RuntimeError.*out of luck"),
        ("nothing", "Broken.*NoneType.*Detections"),
        ("outside", "Broken.*outside the picture"),
    ],
)
def test_failing_detector_is_one_error_among_many(how: str, words: str) -> None:
    recognizer = EmotionRecognizer(detector=Broken(how))  # type: ignore[arg-type]
    good, bad = np.zeros((40, 40, 3), np.uint8), np.zeros((50, 50, 3), np.uint8)
    results = recognizer([good, bad, good])
    assert [type(result) for result in results] == [ImageResult, ErrorResult, ImageResult]
    failed = results[1]
    assert isinstance(failed, ErrorResult)
    assert failed.kind == "DetectorError"
    assert re.search(words, failed.error)
    assert [type(r) for r in recognizer.predict_many(iter([bad, good]))] == [
        ErrorResult,
        ImageResult,
    ]
    with pytest.raises(mien.DetectorError, match=words):
        recognizer(bad)
    with pytest.raises(mien.DetectorError, match=words):
        recognizer.features(bad)


def test_features_are_a_row_per_face(recognizer: EmotionRecognizer) -> None:
    one = recognizer.features(SAMPLE)
    assert one.dtype == np.float32
    assert one.shape == (1, recognizer.config.num_features)
    corners = EmotionRecognizer(detector=Corners(), batch_size=2)
    many = corners.features(np.random.default_rng(0).integers(0, 256, (20, 50, 3), np.uint8))
    assert many.shape == (5, recognizer.config.num_features)
    assert len({row.tobytes() for row in many}) == 5
    none = corners.features(np.zeros((20, 9, 3), np.uint8))
    assert none.dtype == np.float32
    assert none.shape == (0, recognizer.config.num_features)


def test_one_is_a_result_and_many_are_a_list(ready: EmotionRecognizer) -> None:
    assert isinstance(ready(SAMPLE), ImageResult)
    pictures: list[ImageSource] = [SAMPLE, "missing.jpg"]
    forms: list[Iterable[ImageSource]] = [pictures, tuple(pictures), iter(pictures)]
    for many in forms:
        assert [type(result) for result in ready(many)] == [ImageResult, ErrorResult]
    assert ready([]) == []


def test_torch_recognizer_survives_pickling() -> None:
    pytest.importorskip("torch")
    recognizer = EmotionRecognizer(detector="none", backend="torch")
    twin = pickle.loads(pickle.dumps(recognizer))
    assert twin.predict(SAMPLE).faces == recognizer.predict(SAMPLE).faces
