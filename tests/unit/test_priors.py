"""How common each label is taken to be: in the library, on the command line, in the service."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mien
from mien import EmotionRecognizer, ImageResult
from mien.cli import main as run
from mien.errors import ConfigError, DataError
from mien.hub import ASSETS, DEFAULT_MODEL, read_model_folder, write_config
from mien.labels import FERPLUS8, LabelSchema
from mien.priors import ClassPrior, estimate_shares, label_shares, parse_prior, reweigh

SAMPLE = ASSETS / "sample" / "astronaut.jpg"
HELD = np.array([0.6, 0.3, 0.1])
SHIFTED = np.array([0.15, 0.25, 0.6])


def main(arguments: list[str]) -> object:
    """Returns the exit code of a command line."""
    with pytest.raises(SystemExit) as stopped:
        run(arguments)
    return stopped.value.code


def _faces(
    n: int, shares: np.ndarray, *, seed: int, blur: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Draws faces of three labels, normal in the plane, and their probabilities under HELD.

    The model knows the three densities exactly. ``blur`` moves the faces in a way it does not know.
    """
    rng = np.random.default_rng(seed)
    centers = np.array([[0.0, 0.0], [1.6, 0.0], [0.8, 1.5]])
    ids = rng.choice(3, n, p=shares)
    points = centers[ids] + rng.normal(size=(n, 2))
    points = points + blur * (centers[0] - points)
    density = np.exp(-((points[:, None] - centers) ** 2).sum(axis=2) / 2)
    return reweigh(density / density.sum(axis=1, keepdims=True), np.ones(3), HELD), ids


def _accuracy(probs: np.ndarray, ids: np.ndarray) -> float:
    return float((probs.argmax(axis=1) == ids).mean())


def test_shares_of_a_shifted_sample_are_found_and_gain_accuracy() -> None:
    probs, ids = _faces(4000, SHIFTED, seed=0)
    found = np.array(estimate_shares(probs, HELD))
    assert found == pytest.approx(SHIFTED, abs=0.04)
    before, after = _accuracy(probs, ids), _accuracy(reweigh(probs, HELD, found), ids)
    best = _accuracy(reweigh(probs, HELD, SHIFTED), ids)
    assert after > before + 0.1, (before, after)
    assert after == pytest.approx(best, abs=0.01), "as good as with the true shares"


def test_a_sample_of_the_same_shares_is_left_alone() -> None:
    probs, ids = _faces(4000, HELD, seed=1)
    found = np.array(estimate_shares(probs, HELD))
    assert found == pytest.approx(HELD, abs=0.04)
    assert _accuracy(reweigh(probs, HELD, found), ids) > _accuracy(probs, ids) - 0.01


def test_faces_of_another_kind_must_not_be_used() -> None:
    """Faces that look less distinct are no rarer: the estimate says so all the same, and harms."""
    probs, ids = _faces(4000, HELD, seed=2)
    other, truth = _faces(4000, SHIFTED, seed=2, blur=0.7)
    found = np.array(estimate_shares(other, HELD))
    assert found[2] < SHIFTED[2] - 0.3, "the most common label is taken for a rare one"
    assert _accuracy(reweigh(other, HELD, found), truth) < _accuracy(
        reweigh(other, HELD, SHIFTED), truth
    )
    assert _accuracy(probs, ids) > 0.6, "on faces of its kind the model is good"


def test_few_faces_are_refused() -> None:
    probs, _ = _faces(99, SHIFTED, seed=3)
    with pytest.raises(DataError, match=r"99 face.*too few.*100"):
        estimate_shares(probs, HELD)


def test_bayes_rule_with_the_true_shares_calibrates() -> None:
    probs, ids = _faces(20_000, SHIFTED, seed=4)
    right = reweigh(probs, HELD, SHIFTED)
    for label in range(3):
        assert right[:, label].mean() == pytest.approx((ids == label).mean(), abs=0.02)


def test_strength_is_a_power_of_the_shares() -> None:
    prior = ClassPrior((0.8, 0.2), 0.0)
    assert prior.held.tolist() == [0.5, 0.5]
    assert ClassPrior((0.8, 0.2)).held.tolist() == pytest.approx([0.8, 0.2])


def test_smoothing_divides_a_part_evenly_before_the_power() -> None:
    assert ClassPrior((0.9, 0.1), smoothing=1).held.tolist() == [0.5, 0.5]
    assert ClassPrior((0.9, 0.1), smoothing=0.25).held.tolist() == pytest.approx([0.8, 0.2])
    prior = ClassPrior((0.9, 0.1), 0.5, smoothing=0.25)
    assert prior.held.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert prior.target("natural", LabelSchema("two", ("a", "b"))) == (0.9, 0.1)


def test_names_and_labels_say_which_shares() -> None:
    shares = label_shares(np.eye(8)[[0, 0, 0, 0, 1, 1, 2, 3]])
    prior = ClassPrior(shares, own=(0.125,) * 8)
    assert prior.target(None, FERPLUS8) == (0.125,) * 8
    assert prior.target("natural", FERPLUS8) == shares
    assert prior.target("balanced", FERPLUS8) == (0.125,) * 8
    given = prior.target({"happy": 0.5}, FERPLUS8)
    assert given is not None
    assert given[1] == pytest.approx(0.5), "aliases count"
    assert given[0] / given[2] == pytest.approx(shares[0] / shares[2]), "the rest as learned"
    assert sum(given) == pytest.approx(1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("even", "'even' is unknown"),
        ({"joyous": 0.5}, "joyous"),
        ({"fear": 1.5}, "between 0 and 1"),
        ({"fear": 0.0}, "between 0 and 1"),
        ({"fear": 0.5, "afraid": 0.2}, "named twice"),
        ({"fear": 0.6, "anger": 0.5}, "sum to 1"),
        ({}, "sum to 1"),
    ],
)
def test_impossible_priors_are_refused(given: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EmotionRecognizer(detector="none", prior=given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "words", ["even", "fear=", "fear=a", "=0.1", "fear=1/0", "fear=.1,fear=.2"]
)
def test_unreadable_words_are_refused(words: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read.*Give natural, balanced"):
        parse_prior(words)


@pytest.mark.parametrize(
    "values",
    [
        {"shares": (0.5, 0.6)},
        {"shares": (1.0, 0.0)},
        {"shares": (0.5, 0.5), "strength": 3},
        {"shares": (0.5, 0.5), "smoothing": 1.5},
    ],
)
def test_impossible_records_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        ClassPrior(**values)  # type: ignore[arg-type]


def test_a_prior_survives_json() -> None:
    prior = ClassPrior((0.8, 0.2), 0.5, own=(0.5, 0.5), smoothing=0.1)
    assert ClassPrior.from_dict(json.loads(json.dumps(prior.to_dict()))) == prior


def test_answers_change_as_bayes_says_and_keep_the_prior() -> None:
    plain, config = EmotionRecognizer(), read_model_folder().config
    assert config.prior is not None
    even = plain.variant(prior="balanced")
    before, after = plain.predict(SAMPLE), even.predict(SAMPLE)
    labels = plain.labels
    row = np.array([[before.faces[0].probs[label] for label in labels]])
    expected = reweigh(row, config.prior.held, np.full(8, 1 / 8))[0]
    assert [after.faces[0].probs[label] for label in labels] == pytest.approx(expected, abs=1e-9)
    assert before.prior is None
    assert "prior" not in before.to_dict()
    assert after.prior == dict.fromkeys(labels, 0.125)
    assert ImageResult.from_json(after.to_json()) == after
    assert mien.predict(SAMPLE, prior="balanced").faces == after.faces
    assert even.variant(max_faces=1).predict(SAMPLE).prior == after.prior
    crop = [np.zeros((48, 48, 3), np.uint8)]
    assert not np.allclose(plain.predict_faces(crop), even.predict_faces(crop))


def test_sets_follow_the_probabilities() -> None:
    """Thresholds stay those of the shipped prior; what the set holds is told by the new answer."""
    recognizer = EmotionRecognizer(prior={"disgust": 0.9})
    face = recognizer.predict(SAMPLE).faces[0]
    fitted = recognizer.config.conformal
    assert fitted is not None
    assert face.prediction_set is not None
    held = {
        label
        for label, least in zip(recognizer.labels, fitted.thresholds, strict=True)
        if face.probs[label] >= least
    }
    assert set(face.prediction_set) == held


def _copy(tmp_path: Path, **changes: object) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(ASSETS / DEFAULT_MODEL, folder)
    config = read_model_folder(folder).config
    write_config(folder, replace(config, **changes))  # type: ignore[arg-type]
    return folder


def test_a_folder_without_shares_refuses_and_says_what_to_do(tmp_path: Path) -> None:
    folder = _copy(tmp_path, prior=None)
    EmotionRecognizer(folder, detector="none")
    with pytest.raises(ConfigError, match=r"mien calibrate -m .* --prior learned"):
        EmotionRecognizer(folder, detector="none", prior="balanced")


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 24 pictures of noise: 18 neutral, 6 happy."""
    from PIL import Image

    root, rng = tmp_path_factory.mktemp("faces"), np.random.default_rng(0)
    for number in range(24):
        label = "neutral" if number % 4 else "happiness"
        path = root / label / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (48, 48), dtype=np.uint8)).save(path)
    return root


def test_calibrate_sets_records_and_undoes_priors(
    tmp_path: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _copy(tmp_path, prior=None)
    command = ["calibrate", "-m", str(folder), "-d", f"folder:{faces}", "-q"]
    assert main([*command, "--split", "train", "--prior", "own"]) == 2
    assert "--prior learned" in capsys.readouterr().err
    assert main([*command, "--split", "train", "--prior", "learned"]) == 0
    learned = read_model_folder(folder).config.prior
    assert learned is not None
    assert learned.own is None
    assert learned.shares[0] > 2 * learned.shares[1] > 0
    capsys.readouterr()
    assert main([*command, "--split", "train", "--prior", "own", "--format", "json"]) == 0
    own = json.loads(capsys.readouterr().out)["prior"]["own"]
    assert read_model_folder(folder).config.prior.own == tuple(own)  # type: ignore[union-attr]
    assert EmotionRecognizer(folder).predict(SAMPLE).prior == pytest.approx(
        dict(zip(FERPLUS8.labels, own, strict=True))
    )
    assert main(["calibrate", "-m", str(folder), "--prior", "shipped"]) == 0
    assert read_model_folder(folder).config.prior == learned


def test_calibrate_reads_photos_without_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _copy(tmp_path)
    command = ["calibrate", "-m", str(folder), "-s", str(SAMPLE)]
    assert main([*command, "--prior", "own"]) == 1
    assert "too few" in capsys.readouterr().err
    monkeypatch.setattr("mien.priors.MIN_FACES", 1)
    assert main([*command, "--prior", "own", "--format", "json"]) == 0
    own = json.loads(capsys.readouterr().out)["prior"]["own"]
    assert own[1] > 0.9, "one happy face"
    assert main([*command, "-d", "folder:x", "--prior", "own"]) == 2
    assert main(["calibrate", "-m", str(folder)]) == 2


def test_the_command_line_takes_a_prior(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(SAMPLE), "--format", "json", "--prior", "fear=0.5"]) == 0
    result = json.loads(capsys.readouterr().out)
    result = result[0] if isinstance(result, list) else result
    assert result["prior"]["fear"] == pytest.approx(0.5)
    assert main(["predict", str(SAMPLE), "--prior", "even"]) == 2
    assert "Give natural, balanced" in capsys.readouterr().err


def test_photos_that_cannot_be_read_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    from mien.errors import FAULT
    from mien.evaluation.calibration import prior_of_photos

    faces = list(np.random.default_rng(0).integers(0, 256, (100, 32, 32, 3), np.uint8))
    prior_of_photos(EmotionRecognizer(detector="none", threads=1), [*faces, b"no picture"])
    (record,) = caplog.records
    assert "1 of 101 photos cannot be read and are left out" in record.getMessage()
    assert getattr(record, FAULT) == "1 of 101 photos could not be read"
