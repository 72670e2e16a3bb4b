from __future__ import annotations

import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pytest

from mien import EmotionRecognizer, ImageResult
from mien.cli.sources import SAMPLE
from mien.data import read_manifest
from support.two_corners import Corners


@pytest.fixture(scope="module")
def recognizer() -> EmotionRecognizer:
    return EmotionRecognizer()


@pytest.fixture(scope="module")
def ready() -> EmotionRecognizer:
    return EmotionRecognizer(detector="none")


def test_batching_across_pictures_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    pictures = [
        rng.integers(0, 256, (20, int(width), 3), dtype=np.uint8)
        for width in rng.integers(1, 90, 40)
    ]
    small = EmotionRecognizer(detector=Corners(), batch_size=3)
    large = EmotionRecognizer(detector=Corners(), batch_size=500)
    alone = [small.predict(picture) for picture in pictures]
    assert [len(result.faces) for result in alone] == [p.shape[1] // 10 for p in pictures]
    for together in (list(small.predict_many(pictures)), list(large.predict_many(pictures))):
        for one, other in zip(alone, together, strict=True):
            assert isinstance(other, ImageResult)
            assert (one.width, one.height) == (other.width, other.height)
            for a, b in zip(one.faces, other.faces, strict=True):
                assert a.box_xyxy == b.box_xyxy
                assert list(a.probs.values()) == pytest.approx(list(b.probs.values()), abs=1e-5)


@pytest.mark.parametrize(("bundled", "most"), [(True, 0.15), (False, 1e-4)])
def test_engines_agree_from_the_same_files(
    shared: Path, tmp_path: Path, bundled: bool, most: float
) -> None:
    """The golden set: photos through detection, and ready faces, in torch and in ONNX Runtime.

    The bundled network is int8, its weights for torch are not; what is exported of them agrees.
    """
    pytest.importorskip("torch")
    from mien.exporting import export_run

    folder = None if bundled else export_run("mienet_s.faces8", tmp_path / "float")[0].path
    onnx, torch = (EmotionRecognizer(folder, backend=name) for name in ("onnx", "torch"))
    photos = [SAMPLE, *(shared / "data" / "media" / f"{n}_face.jpg" for n in ("single", "multi"))]
    for photo in photos:
        a, b = onnx.predict(photo), torch.predict(photo)
        assert len(a.faces) >= 1
        for one, other in zip(a.faces, b.faces, strict=True):
            assert one.emotion == other.emotion
            assert list(one.probs.values()) == pytest.approx(list(other.probs.values()), abs=most)
    part = read_manifest(f"ferplus:{shared / 'data' / 'ferplus'}").split("valid")
    faces = [part.images.read(index) for index in range(0, 320, 5)]
    moved = np.abs(onnx.predict_faces(faces) - torch.predict_faces(faces))
    assert moved.max() < most
    assert moved.mean() < most / 20


@pytest.mark.parametrize("name", sorted({"none", "mien", "mien:fast", "mien:full", "haar"}))
def test_recognizer_survives_pickling(name: str) -> None:
    if name == "haar":
        pytest.importorskip("cv2")
    recognizer = EmotionRecognizer(detector=name, labels="fer7", max_faces=3)
    recognizer.predict(SAMPLE)
    twin = pickle.loads(pickle.dumps(recognizer))
    assert twin.labels == recognizer.labels
    assert twin.predict(SAMPLE).faces == recognizer.predict(SAMPLE).faces


@pytest.mark.slow
def test_recognizer_works_in_other_processes(ready: EmotionRecognizer) -> None:
    expected = ready.predict(SAMPLE)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (answer,) = pool.map(ready, [str(SAMPLE)])
    assert answer.faces == expected.faces
    assert (answer.draw() == expected.draw()).all()


@pytest.mark.slow
def test_recognizer_works_in_workers_of_joblib_and_torch(ready: EmotionRecognizer) -> None:
    joblib, data = pytest.importorskip("joblib"), pytest.importorskip("torch.utils.data")
    expected = ready.predict(SAMPLE).faces
    (answer,) = joblib.Parallel(n_jobs=2)([joblib.delayed(ready)(SAMPLE)])
    assert answer.faces == expected
    loader = data.DataLoader(
        [str(SAMPLE)] * 2,
        batch_size=None,
        collate_fn=ready,
        num_workers=1,
        multiprocessing_context="spawn",
    )
    assert [result.faces for result in loader] == [expected, expected]


def test_flags_never_contradict_the_answer(shared: Path) -> None:
    recognizer = EmotionRecognizer(detector="none")
    part = read_manifest(f"ferplus:{shared / 'data' / 'ferplus'}").split("valid")
    faces = [part.images.read(index) for index in range(0, len(part), 10)]
    for result in recognizer(faces):
        assert isinstance(result, ImageResult)
        face = result.faces[0]
        certain = face.prediction_set == (face.emotion,) and not face.quality_flags
        assert face.uncertain == (not certain)
        assert (face.prediction_set == (face.emotion,)) != ("ambiguous" in face.quality_flags)
