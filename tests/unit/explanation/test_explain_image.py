from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mien import ConfigError, EmotionRecognizer, ImageResult, InputError, ModelError
from mien.backends import Outputs
from mien.cli.sources import SAMPLE
from mien.explanation import METHODS, explain, explain_crops, read_image, register_method
from mien.images import decode
from mien.pipeline import Pipeline


@pytest.fixture(scope="module")
def recognizer() -> EmotionRecognizer:
    return EmotionRecognizer()


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return decode(SAMPLE)


def _explain(
    recognizer: EmotionRecognizer, picture: object, **options: object
) -> tuple[ImageResult, np.ndarray]:
    found = explain(picture, recognizer, **options)  # type: ignore[arg-type]
    return found.result, found.image_rgb


def test_result_is_that_of_predict(recognizer: EmotionRecognizer, photo: np.ndarray) -> None:
    result, overlay = _explain(recognizer, photo)
    assert result.faces == recognizer.predict(photo).faces
    assert overlay.shape == photo.shape
    assert overlay.dtype == np.uint8


def test_map_lies_on_the_mouth_of_the_smiling_face(
    recognizer: EmotionRecognizer, photo: np.ndarray
) -> None:
    result, overlay = _explain(recognizer, photo, label="happiness", boxes=False)
    change = np.abs(overlay.astype(int) - photo).sum(axis=2)
    x1, y1, x2, y2 = result.faces[0].box_xyxy
    rows, columns = np.nonzero(change > change.max() / 2)
    assert x1 < columns.mean() < x2
    assert (y1 + y2) / 2 < rows.mean() < y2
    square = read_image(recognizer, photo).squares_xyxy[0].round().astype(int)
    change[square[1] : square[3] + 1, square[0] : square[2] + 1] = 0
    assert not change.any()


def test_labels_give_different_maps_and_captions(
    recognizer: EmotionRecognizer, photo: np.ndarray
) -> None:
    overlays = [_explain(recognizer, photo, label=x)[1] for x in ("happiness", "joy", "neutral")]
    assert (overlays[0] == overlays[1]).all()  # an alias
    assert (overlays[0] != overlays[2]).any()
    assert (_explain(recognizer, photo)[1] == overlays[0]).all()  # the top one


def test_every_face_of_a_photo_gets_a_map(recognizer: EmotionRecognizer, photo: np.ndarray) -> None:
    both = np.concatenate([photo, photo[:, ::-1]], axis=1)
    result, overlay = _explain(recognizer, both, boxes=False)
    assert len(result.faces) >= 2
    change = np.abs(overlay.astype(int) - both).sum(axis=2)
    for face in result.faces:
        x1, y1, x2, y2 = (round(value) for value in face.box_xyxy)
        assert change[y1:y2, x1:x2].max() > 100


def test_without_a_face_the_picture_is_unchanged(recognizer: EmotionRecognizer) -> None:
    empty = np.full((90, 120, 3), 77, np.uint8)
    result, overlay = _explain(recognizer, empty)
    assert result.faces == ()
    assert (overlay == empty).all()
    assert (_explain(recognizer, empty, label="fear")[1] == empty).all()


def test_another_schema_is_explained_too(photo: np.ndarray) -> None:
    recognizer = EmotionRecognizer(labels="hes3")
    result, overlay = _explain(recognizer, photo, label="angry")
    assert list(result.faces[0].probs) == ["angry", "happy", "sad"]
    assert (overlay != photo).any()


def test_wrong_words_and_pictures_are_refused(
    recognizer: EmotionRecognizer, photo: np.ndarray
) -> None:
    with pytest.raises(ConfigError, match="happiness"):
        _explain(recognizer, photo, label="hapiness")
    with pytest.raises(ConfigError, match="gradcam"):
        _explain(recognizer, photo, method="gradcan")
    with pytest.raises(InputError):
        _explain(recognizer, b"no picture")
    with pytest.raises(InputError, match="48, 48, 1"):
        explain_crops(recognizer, np.zeros((1, 40, 40, 1), np.uint8))
    with pytest.raises(ConfigError, match="position"):
        explain_crops(recognizer, np.zeros((1, 48, 48, 1), np.uint8), label=np.array([8]))
    with pytest.raises(ConfigError):
        explain_crops(recognizer, np.zeros((0, 48, 48, 1), np.uint8), label="none of these")
    assert explain_crops(recognizer, np.zeros((0, 48, 48, 1), np.uint8)).shape == (0, 48, 48)


def test_network_without_features_is_told_of_other_methods(
    photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    recognizer = EmotionRecognizer()
    run = recognizer.pipeline.backend.run
    monkeypatch.setattr(
        recognizer.pipeline.backend, "run",
        lambda batch, *, features=False: Outputs(run(batch).logits, None),
    )  # fmt: skip
    with pytest.raises(ModelError, match="occlusion"):
        _explain(recognizer, photo, method="cam")
    assert (_explain(recognizer, photo, method="occlusion")[1] != photo).any()


def test_methods_are_registered_once() -> None:
    torch_ones = {"gradcam", "gradcam++", "hirescam", "eigencam", "scorecam", "rollout"}
    assert {"cam", "occlusion"} | torch_ones == set(METHODS)
    assert {name for name, spec in METHODS.items() if spec.extra == "train"} == torch_ones
    with pytest.raises(ConfigError, match="already"):
        register_method("cam", summary="")(METHODS["cam"].run)


def test_occlusion_finds_the_place_that_matters() -> None:
    recognizer = EmotionRecognizer(detector="none")

    class Brightness(Pipeline):
        """A model that uses the brightness of the lower right quarter alone."""

        def logits(self, crops: np.ndarray) -> np.ndarray:
            out = np.zeros((len(crops), 8), np.float32)
            out[:, 1] = crops[:, 24:, 24:].mean(axis=(1, 2, 3)) / 20
            return out

    recognizer.pipeline = pipeline = Brightness(**vars(recognizer.pipeline))
    crop = np.zeros((1, 48, 48, 1), np.uint8)
    crop[:, 24:, 24:] = 250
    from mien.explanation.methods import FaceBatch, occlusion

    heat = occlusion(recognizer, FaceBatch(crop, pipeline.logits(crop), None), np.array([1]))[0]
    assert heat[30:, 30:].min() > 0
    assert heat[:12, :12].max() == 0


def test_light_door_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['pytorch_grad_cam'] = None\n"
        "from mien import EmotionRecognizer, MissingExtraError\n"
        "from mien.explanation import explain\n"
        f"result = explain({str(SAMPLE)!r}, EmotionRecognizer()).result\n"
        "print(result.faces[0].emotion)\n"
        "try: explain(result.source, method='gradcam')\n"
        "except MissingExtraError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == "happiness"
    assert "mien[train]" in done.stdout


def test_files_are_read_as_by_predict(recognizer: EmotionRecognizer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.jpg"):
        _explain(recognizer, tmp_path / "gone.jpg")
