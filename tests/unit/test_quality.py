from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mien
from mien import EmotionRecognizer
from mien.cli import main
from mien.conformal import ConformalThresholds, fit_conformal
from mien.data import read_manifest
from mien.errors import ConfigError, DataError
from mien.evaluation.calibration import calibrate
from mien.hub import ASSETS, read_model_folder
from mien.labels import LabelSchema
from mien.quality import QualityBounds, face_quality, fit_quality, warning

SAMPLE = ASSETS / "sample" / "astronaut.jpg"


def _thresholds(**changes: object) -> ConformalThresholds:
    values = {"coverage": 0.9, "thresholds": (0.3, 0.4), "faces": 100, **changes}
    return ConformalThresholds(**values)  # type: ignore[arg-type]


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
    fitted = fit_conformal(probs, ids, coverage=coverage)
    new, truth = _drawn(6000, seed=1)
    held = fitted.prediction_sets(new)[np.arange(len(new)), truth]
    for label in range(3):
        assert held[truth == label].mean() == pytest.approx(coverage, abs=0.03)


def test_a_threshold_leaves_out_the_promised_share_of_its_faces() -> None:
    """With 99 faces, the tenth lowest of 100 places stays outside: nine faces lie below it."""
    true = np.linspace(0.01, 0.99, 99)
    probs = np.stack([true, 1 - true], axis=1)
    fitted = fit_conformal(probs, np.zeros(99, int), coverage=0.9)
    assert fitted.thresholds[0] == pytest.approx(true[9], abs=1e-6)
    assert (true < fitted.thresholds[0]).sum() == 9
    few = fit_conformal(probs[:5], np.zeros(5, int), coverage=0.9)
    assert few.thresholds == (0.0, 0.0), "five faces cannot promise 90 %: everything is plausible"


def test_rare_labels_take_the_threshold_of_all_faces() -> None:
    probs, ids = _drawn(400)
    ids[ids == 2] = 0
    ids[:49] = 2
    fitted = fit_conformal(probs, ids, coverage=0.9)
    true = np.sort(probs[np.arange(400), ids])
    assert fitted.thresholds[2] == pytest.approx(true[39], abs=1e-6)
    assert fitted.thresholds[0] != fitted.thresholds[2]


def test_quality_knows_dark_flat_and_blurred_faces() -> None:
    from PIL import Image, ImageFilter

    face = np.asarray(Image.open(SAMPLE).convert("L").crop((170, 60, 280, 170)).resize((48, 48)))
    soft = np.asarray(Image.fromarray(face).filter(ImageFilter.GaussianBlur(4)))
    dark = (face * 0.2).astype(np.uint8)
    flat = (128 + (face.astype(float) - 128) * 0.05).astype(np.uint8)
    crops = np.stack([face, soft, dark, flat])[..., None]
    light, contrast, sharpness = face_quality(crops)
    bounds = read_model_folder().config.quality
    assert bounds is not None
    assert light[2] < bounds.min_light < light[0]
    assert contrast[3] < bounds.min_contrast < contrast[0]
    assert sharpness[1] < bounds.min_sharpness < sharpness[0]
    flags = bounds.assess(crops, np.array([100.0, 100, 100, 12]), ambiguous=np.zeros(4, bool))
    assert flags[0] == ()
    assert flags[1] == ("blurred",)
    assert "dark" in flags[2]
    assert flags[3][0] == "small"
    assert "flat" in flags[3]
    assert bounds.assess(crops[:1], np.full(1, np.inf), ambiguous=np.ones(1, bool)) == [
        ("ambiguous",)
    ]


def test_sets_of_none_of_two_and_of_another_label_are_ambiguous() -> None:
    fitted = _thresholds(thresholds=(0.3, 0.7))
    sets = fitted.prediction_sets(np.array([[0.35, 0.71], [0.2, 0.3], [0.9, 0.1]]))
    assert sets.tolist() == [[True, True], [False, False], [True, False]]
    with pytest.raises(ConfigError, match="thresholds"):
        fitted.prediction_sets(np.ones((1, 3)))
    recognizer = EmotionRecognizer(detector="none")
    config = replace(
        recognizer.config,
        schema=LabelSchema("two", ("a", "b")),
        conformal=fitted,
        temperature=1.0,
        prior=None,
    )
    pipeline = replace(recognizer.pipeline, config=config, schema=config.schema)
    probs = np.array([[0.35, 0.65], [0.2, 0.8], [0.9, 0.1]])
    # Of the first face only the less probable label reaches its threshold.
    faces = pipeline.faces(probs, probs, _crops(3), np.array([[0.0, 0, 48, 48]] * 3), np.ones(3))
    assert [face.prediction_set for face in faces] == [("a",), ("b",), ("a",)]
    assert [("ambiguous" in face.quality_flags) for face in faces] == [True, False, False]


def test_warnings_are_sentences() -> None:
    assert warning("a", ["a"], []) == ""
    assert warning("a", ["a", "b", "c"], ["ambiguous"]) == "uncertain: b, c are also plausible"
    assert warning("a", [], ["ambiguous", "dark"]) == "uncertain: no clear label; the face is dark"


@pytest.mark.parametrize(
    "changes",
    [{"coverage": 0}, {"coverage": 1}, {"thresholds": (0.1, 1.2)}, {"thresholds": (-0.1,)}],
)
def test_impossible_thresholds_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="conformal"):
        _thresholds(**changes)


@pytest.mark.parametrize("changes", [{"min_side": float("nan")}, {"min_light": -1}])
def test_impossible_bounds_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="quality"):
        QualityBounds(**changes)


@pytest.mark.parametrize("value", [_thresholds(), QualityBounds(min_light=40.5)])
def test_both_survive_json_and_refuse_unknown_keys(
    value: ConformalThresholds | QualityBounds,
) -> None:
    assert type(value).from_dict(json.loads(json.dumps(value.to_dict()))) == value
    with pytest.raises(ConfigError, match="unknown key 'colour'"):
        type(value).from_dict({**value.to_dict(), "colour": 3})


def test_fitting_needs_faces() -> None:
    with pytest.raises(ConfigError, match="no faces"):
        fit_quality(_crops(0))
    with pytest.raises(ConfigError, match="no labelled faces"):
        fit_conformal(np.zeros((0, 2)), np.zeros(0, int))


def test_answers_carry_their_set_and_flags() -> None:
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


def test_a_folder_without_thresholds_has_no_sets_and_calibrate_fits_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from support.faces import write_folder

    folder = tmp_path / "model"
    shutil.copytree(read_model_folder().path, folder)
    config = json.loads((folder / "config.json").read_text())
    del config["mien"]["conformal"], config["mien"]["quality"]
    (folder / "config.json").write_text(json.dumps(config))
    (face,) = EmotionRecognizer(folder).predict(SAMPLE).faces
    assert face.prediction_set is None
    assert face.quality_flags == ()
    assert face.uncertain, "nothing says that it is certain"
    data = write_folder(tmp_path / "faces", 8)
    with pytest.raises(DataError, match="but the model has"):
        calibrate(EmotionRecognizer(folder, detector="none"), read_manifest(f"folder:{data}"))
    assert _main("calibrate", "-m", folder, "-d", f"folder:{data}", "-q") == 0
    assert "12 faces; on halves that were left out" in capsys.readouterr().out
    assert _main(
        "calibrate", "-m", folder, "-d", f"folder:{data}", "-q", "--coverage", 0.8,
        "--format", "json",
    ) == 0  # fmt: skip
    told = json.loads(capsys.readouterr().out)
    assert (told["conformal"]["coverage"], told["conformal"]["faces"]) == (0.8, 12)
    assert set(told["check"]["by_label"]) == set(EmotionRecognizer(folder).labels)
    config = read_model_folder(folder).config
    assert config.conformal is not None
    assert config.quality is not None
    assert config.conformal.coverage == 0.8
    assert "prediction set" in (folder / "README.md").read_text()
    assert _main("calibrate", "-m", folder, "-d", f"folder:{data}", "--coverage", 1) == 2
    assert "between 0 and 1" in capsys.readouterr().err


def _main(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)
