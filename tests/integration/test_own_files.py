"""What matters on real pictures, from the repository's own files: the photo in the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mien import EmotionRecognizer
from mien.cli.sources import SAMPLE
from mien.detectors import get_detector
from mien.detectors.boxes import iou
from mien.images import decode
from mien.video import VideoConfig, read_video
from support.clips import sample_face, write_clip
from support.faces import LABELS, draw_face

#: The golden box: where the bundled detector found the astronaut's face when this was written.
FACE = [176.4, 55.8, 270.6, 174.5]


def _faces() -> list[NDArray[np.uint8]]:
    """The golden set: the real face in several sizes, tints and turns, and drawings."""
    tints = ((1, 1, 1), (0.5, 0.5, 0.5), (1.2, 1, 0.8), (0.7, 0.9, 1.3))
    real = [sample_face(size, tint=tint) for size in (48, 64, 160) for tint in tints]
    turned = [
        np.asarray(Image.fromarray(sample_face(96)).rotate(angle, Image.Resampling.BILINEAR))
        for angle in (-20, -8, 8, 20)
    ]
    drawn = [np.asarray(draw_face(LABELS[seed % 3], seed, 64).convert("RGB")) for seed in range(12)]
    return [*real, *(face[:, ::-1] for face in real), *turned, *drawn]


def _crowd() -> NDArray[np.uint8]:
    """Five copies of the photo, some mirrored, dark or small, side by side."""
    photo = decode(SAMPLE)
    dark = (photo * 0.6).astype(np.uint8)
    small = np.asarray(Image.fromarray(photo).resize((256, 256)))
    crowd = np.zeros((1024, 1536, 3), np.uint8)
    crowd[:512, :512], crowd[:512, 512:1024], crowd[:512, 1024:] = photo, photo[:, ::-1], dark
    crowd[600:856, 100:356], crowd[600:856, 900:1156] = small, small[:, ::-1]
    return crowd


@pytest.mark.parametrize(("bundled", "most"), [(True, 0.15), (False, 1e-4)])
def test_torch_and_onnx_give_one_answer(tmp_path: Path, bundled: bool, most: float) -> None:
    """The bundled network is int8, its weights for torch are not; an export of them agrees."""
    pytest.importorskip("torch")
    from mien.exporting import export_run

    folder = None if bundled else export_run("mienet_s.faces8", tmp_path / "float")[0].path
    onnx, torch = (EmotionRecognizer(folder, backend=name) for name in ("onnx", "torch"))
    for picture, count in ((decode(SAMPLE), 1), (_crowd(), 5)):
        a, b = onnx.predict(picture), torch.predict(picture)
        assert len(a.faces) == len(b.faces) == count
        for one, other in zip(a.faces, b.faces, strict=True):
            assert one.emotion == other.emotion
            assert list(one.probs.values()) == pytest.approx(list(other.probs.values()), abs=most)
    moved = np.abs(onnx.predict_faces(_faces()) - torch.predict_faces(_faces()))
    assert moved.max() < most
    assert moved.mean() < most / 10


def test_int8_and_half_precision_answer_like_the_network(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("torch")  # the bundled network is int8; its forms are made of the weights
    from mien.exporting import ExportConfig, export_formats

    options = ExportConfig(("int8-dynamic", "onnx-fp16"))
    folder, results = export_formats("mienet_s.ferplus8", tmp_path / "out", options)
    expected = EmotionRecognizer(folder.path, detector="none").predict_faces(_faces())
    assert len(results) == 3
    for result in results[1:]:
        most, mean = (0.02, 0.002) if result.format == "onnx-fp16" else (0.3, 0.03)
        network = EmotionRecognizer(folder.path / result.file, detector="none")
        apart = np.abs(network.predict_faces(_faces()) - expected)
        assert 0 < apart.max() < most, result.format
        assert apart.mean() < mean, result.format


@pytest.mark.parametrize("name", ["mien", "mien:fast", "mien:full"])
def test_the_face_of_the_photo_is_where_it_was(name: str) -> None:
    detector = get_detector(name)
    found = detector.detect(decode(SAMPLE))
    assert len(found) == 1
    assert iou(found.boxes_xyxy, np.array([FACE]))[0, 0] > 0.9
    assert len(detector.detect(_crowd())) == 5
    assert len(detector.detect(np.full((400, 400, 3), 128, np.uint8))) == 0


def test_the_photo_is_read_as_a_person_would() -> None:
    (face,) = EmotionRecognizer().predict(SAMPLE).faces
    assert face.emotion == "happiness"
    crowd = EmotionRecognizer().predict(_crowd()).faces
    assert {face.emotion for face in crowd} == {"happiness"}


def test_a_clip_of_the_photo_has_one_track_that_ends_with_the_face(tmp_path: Path) -> None:
    """The camera pans over the photo; then the face is gone."""
    pytest.importorskip("av")
    photo = np.asarray(Image.fromarray(decode(SAMPLE)).resize((400, 400)))
    frames = [photo[:280, 60 + step : 340 + step] for step in range(0, 40, 2)]
    frames += [np.full((280, 280, 3), 90, np.uint8)] * 20
    clip = write_clip(tmp_path / "clip.mp4", frames, fps=10)
    config = VideoConfig(fps=10, detect_every=1, annotate=False, picture=False)
    result = read_video(
        clip, tmp_path / "out", recognizer=EmotionRecognizer(threads=1), config=config
    )
    (track,) = result.summary.tracks
    assert track.first_s < 0.6
    assert 1.4 < track.last_s < 2.2
    assert result.summary.duration_s == pytest.approx(4, abs=0.2)
