from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from mien.uncertainty import Uncertainty, face_quality, fit_conformal, warning

import mien
from mien import EmotionRecognizer
from mien.cli import main
from mien.data import read_manifest
from mien.errors import ConfigError, DataError
from mien.evaluation.calibration import calibrate
from mien.hub import ASSETS, read_model_folder

SAMPLE = ASSETS / "sample" / "astronaut.jpg"


def _limits(**changes: object) -> Uncertainty:
    values = {"coverage": 0.9, "thresholds": (0.3, 0.4), "faces": 100, **changes}
    return Uncertainty(**values)  # type: ignore[arg-type]


def _drawn(n: int, seed: int = 0, labels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (N, K), and labels drawn from them: calibrated by construction."""
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(labels, 0.5), n)
    return probs, np.array([rng.choice(labels, p=row) for row in probs])


def _crops(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 48, 48, 1), dtype=np.uint8)


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_sets_hold_the_true_label_of_new_faces_as_often_as_promised(coverage: float) -> None:
    probs, ids = _drawn(3000)
    limits = fit_conformal(probs, ids, _crops(20), coverage=coverage)
    new, truth = _drawn(6000, seed=1)
    held = limits.prediction_sets(new)[np.arange(len(new)), truth]
    for label in range(3):
        assert held[truth == label].mean() == pytest.approx(coverage, abs=0.03)


def test_a_threshold_leaves_out_the_promised_share_of_its_faces() -> None:
    """With 99 faces, the tenth lowest of 100 places stays outside: nine faces lie below it."""
    true = np.linspace(0.01, 0.99, 99)
    probs = np.stack([true, 1 - true], axis=1)
    limits = fit_conformal(probs, np.zeros(99, int), _crops(3), coverage=0.9)
    assert limits.thresholds[0] == pytest.approx(true[9], abs=1e-6)
    assert (true < limits.thresholds[0]).sum() == 9
    few = fit_conformal(probs[:5], np.zeros(5, int), _crops(3), coverage=0.9)
    assert few.thresholds == (0.0, 0.0), "five faces cannot promise 90 %: everything is plausible"


def test_rare_labels_take_the_threshold_of_all_faces() -> None:
    probs, ids = _drawn(400)
    ids[ids == 2] = 0
    ids[:49] = 2
    limits = fit_conformal(probs, ids, _crops(3), coverage=0.9)
    true = np.sort(probs[np.arange(400), ids])
    assert limits.thresholds[2] == pytest.approx(true[39], abs=1e-6)
    assert limits.thresholds[0] != limits.thresholds[2]


def test_quality_knows_dark_flat_and_blurred_faces() -> None:
    from PIL import Image, ImageFilter

    face = np.asarray(Image.open(SAMPLE).convert("L").crop((170, 60, 280, 170)).resize((48, 48)))
    soft = np.asarray(Image.fromarray(face).filter(ImageFilter.GaussianBlur(4)))
    dark = (face * 0.2).astype(np.uint8)
    flat = (128 + (face.astype(float) - 128) * 0.05).astype(np.uint8)
    crops = np.stack([face, soft, dark, flat])[..., None]
    light, contrast, sharpness = face_quality(crops)
    limits = read_model_folder().config.uncertainty
    assert limits is not None
    assert light[2] < limits.min_light < light[0]
    assert contrast[3] < limits.min_contrast < contrast[0]
    assert sharpness[1] < limits.min_sharpness < sharpness[0]
    one = np.array([[True, False]] * 4)
    said = limits.quality_flags(one, crops, np.array([100.0, 100, 100, 12]))
    assert said[0] == ()
    assert said[1] == ("blurred",)
    assert "dark" in said[2]
    assert said[3][0] == "small"
    assert "flat" in said[3]


def test_sets_of_none_and_of_two_are_ambiguous() -> None:
    limits = _limits()
    sets = limits.prediction_sets(np.array([[0.35, 0.65], [0.2, 0.3], [0.9, 0.1]]))
    assert sets.tolist() == [[True, True], [False, False], [True, False]]
    said = limits.quality_flags(sets, _crops(3), np.full(3, np.inf))
    assert said == [("ambiguous",), ("ambiguous",), ()]
    with pytest.raises(ConfigError, match="thresholds"):
        limits.prediction_sets(np.ones((1, 3)))


def test_caveats_are_words() -> None:
    assert warning("a", ["a"], []) == ""
    assert warning("a", ["a", "b", "c"], ["ambiguous"]) == "uncertain: also plausible are b, c"
    assert (
        warning("a", [], ["ambiguous", "dark"]) == "uncertain: no label is clear; the face is dark"
    )


@pytest.mark.parametrize(
    "changes",
    [{"coverage": 0}, {"coverage": 1}, {"thresholds": (0.1, 1.2)}, {"thresholds": (-0.1,)},
     {"min_side": float("nan")}, {"min_light": -1}],
)  # fmt: skip
def test_impossible_limits_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="uncertainty"):
        _limits(**changes)


def test_limits_survive_json_and_refuse_what_they_do_not_know() -> None:
    limits = _limits(min_light=40.5)
    assert Uncertainty.from_dict(json.loads(json.dumps(limits.to_dict()))) == limits
    with pytest.raises(ConfigError, match="not usable"):
        Uncertainty.from_dict({**limits.to_dict(), "colour": 3})
    with pytest.raises(ConfigError, match="no labelled faces"):
        fit_conformal(np.zeros((0, 2)), np.zeros(0, int), _crops(1))


def test_answers_carry_their_set_and_doubts() -> None:
    recognizer = EmotionRecognizer()
    (sure,) = recognizer.predict(SAMPLE).faces
    assert sure.prediction_set == ("happiness",)
    assert not sure.uncertain
    assert sure.warning == ""
    again = mien.FaceEmotion.from_json(sure.to_json())
    assert again == sure
    noise = _crops(1)[0].repeat(3, axis=2)
    (unclear,) = EmotionRecognizer(detector="none").predict(noise // 8).faces
    assert unclear.uncertain
    assert {"dark", "flat"} <= set(unclear.quality_flags)
    assert "small" not in unclear.quality_flags, "the picture is the face: nothing was detected"
    row = recognizer.predict(SAMPLE).to_rows(recognizer.labels)[0]
    assert row["quality_flags"] == ""


def test_sets_follow_into_another_schema() -> None:
    """What was plausible stays so under its new name."""
    own = EmotionRecognizer(detector="none")
    other = EmotionRecognizer(detector="none", labels="fer7")
    faces = [crop.repeat(3, axis=2) for crop in _crops(40) // 3]
    for face in faces:
        (mine,), (theirs,) = own.predict(face).faces, other.predict(face).faces
        assert mine.prediction_set is not None
        assert theirs.prediction_set is not None
        assert {label for label in mine.prediction_set if label != "contempt"} <= set(
            theirs.prediction_set
        )


def test_many_answer_as_one_does() -> None:
    recognizer = EmotionRecognizer()
    (alone,) = recognizer.predict(SAMPLE).faces
    for result in recognizer.predict_many([SAMPLE] * 3, workers=2):
        assert isinstance(result, mien.ImageResult)
        assert result.faces[0].prediction_set == alone.prediction_set
        assert result.faces[0].quality_flags == alone.quality_flags


def test_a_folder_without_limits_says_nothing_and_calibrate_gives_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from faces_made import write_folder

    folder = tmp_path / "model"
    shutil.copytree(read_model_folder().path, folder)
    config = json.loads((folder / "config.json").read_text())
    del config["mien"]["uncertainty"]
    (folder / "config.json").write_text(json.dumps(config))
    (face,) = EmotionRecognizer(folder).predict(SAMPLE).faces
    assert face.prediction_set is None
    assert not face.uncertain
    data = write_folder(tmp_path / "faces", 8)
    with pytest.raises(DataError, match="model's labels"):
        calibrate(EmotionRecognizer(folder, detector="none"), read_manifest(f"folder:{data}"))
    assert _main("calibrate", "-m", folder, "-d", f"folder:{data}", "-q") == 0
    assert "12 faces; on halves that were left out" in capsys.readouterr().out
    assert _main(
        "calibrate", "-m", folder, "-d", f"folder:{data}", "-q", "--coverage", 0.8, "--json"
    ) == 0  # fmt: skip
    told = json.loads(capsys.readouterr().out)
    assert (told["coverage"], told["faces"]) == (0.8, 12)
    assert set(told["check"]["by_label"]) == set(EmotionRecognizer(folder).labels)
    limits = read_model_folder(folder).config.uncertainty
    assert limits is not None
    assert limits.coverage == 0.8
    assert "prediction set" in (folder / "README.md").read_text()
    assert _main("calibrate", "-m", folder, "-d", f"folder:{data}", "--coverage", 1) == 2
    assert "between 0 and 1" in capsys.readouterr().err


def test_trained_models_have_their_sets(trained: Path) -> None:
    limits = read_model_folder(trained).config.uncertainty
    assert limits is not None
    assert limits.faces == 72
    (face,) = EmotionRecognizer(trained, detector="none").predict(_crops(1)[0]).faces
    assert face.prediction_set is not None


def _main(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)
