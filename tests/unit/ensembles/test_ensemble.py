from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from PIL import Image

from mien.data import read_manifest
from mien.data.split import grouped_folds
from mien.ensembles import ensemble, fit_mixture
from mien.ensembles.mixing import cross_fitted_probs, fit_weights, select_greedily
from mien.errors import ConfigError, DataError, ModelError
from mien.explanation import explain_crops
from mien.hub import ONNX, WEIGHTS, ModelConfig, read_model_folder, write_config
from mien.labels import HES3
from mien.preprocess import Preprocessing, crop_faces
from mien.priors import ClassPrior, label_shares, reweigh
from mien.recognizer import EmotionRecognizer
from support import needs
from support.faces import draw_face

if TYPE_CHECKING:
    from mien.data.manifest import Manifest

pytestmark = needs("sklearn")

LABELS = {"happy": "happiness", "sad": "sadness", "angry": "neutral"}


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Drawn faces in colour, 64 px."""
    root = tmp_path_factory.mktemp("faces")
    for split in ("train", "valid"):
        for number, (label, drawn) in enumerate(LABELS.items()):
            folder = root / split / label
            folder.mkdir(parents=True)
            for index in range(8):
                pixels = np.asarray(draw_face(drawn, 100 * number + index, 64)).astype(float)
                tinted = np.stack([pixels, 0.8 * pixels, 0.5 * pixels + 40], axis=2)
                Image.fromarray(tinted.astype(np.uint8)).save(folder / f"{index}.png")
    return read_manifest(f"folder:{root}", labels=HES3)


def _member(
    folder: Path,
    p: Preprocessing,
    seed: int,
    temperature: float = 1.0,
    prior: ClassPrior | None = None,
) -> Path:
    """A network of one linear layer on all pixels, with weights of chance."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    width = p.channels * p.size**2
    matrix = rng.normal(0, 3 / width**0.5, (width, 3)).astype(np.float32)
    value, make = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    graph = onnx.helper.make_graph(
        [make("Flatten", ["input"], ["flat"]), make("MatMul", ["flat", "w"], ["logits"])],
        "linear",
        [value("input", onnx.TensorProto.FLOAT, ["N", p.channels, p.size, p.size])],
        [value("logits", onnx.TensorProto.FLOAT, ["N", 3])],
        [onnx.numpy_helper.from_array(matrix, "w")],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10
    )
    onnx.save_model(model, folder / ONNX)
    config = ModelConfig("linear", folder.name, HES3, p, temperature=temperature, prior=prior)
    write_config(folder, config)
    return folder


def test_weights_agree_with_a_general_optimizer() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    probs = np.random.default_rng(0).beta(2, 1, (300, 4)).clip(1e-6)
    found = fit_weights(probs)
    best = optimize.minimize(
        lambda w: -np.log(probs @ w).mean(), np.full(4, 0.25), method="SLSQP",
        bounds=[(0, 1)] * 4, constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-12},
    )  # fmt: skip
    assert found.sum() == pytest.approx(1)
    assert -np.log(probs @ found).mean() == pytest.approx(best.fun, abs=2e-5)


def test_greedy_selection_by_hand() -> None:
    # Alone the members are right on 2, 2 and 1 of 3 faces; the first two together on all.
    true = np.array([[0.9, 0.4, 0.1], [0.9, 0.4, 0.1], [0.2, 0.9, 0.9]])
    probs = np.stack([true, 1 - true], axis=2)
    weights = select_greedily(probs, np.zeros(3, np.int64), rounds=2)
    assert weights.tolist() == [0.5, 0.5, 0.0]


def test_votes_are_the_mean_and_temperature_calibrates() -> None:
    log_probs = np.log(np.random.default_rng(1).dirichlet(np.ones(3), (60, 2)))
    mixture = fit_mixture(log_probs, np.arange(60) % 3)
    mean = np.exp(log_probs).mean(axis=1)
    assert np.allclose(np.exp(mixture.logits(log_probs)), mean)
    assert mixture.temperature > 2  # labels of chance: the best answer is an even one


def test_groups_stay_in_one_fold() -> None:
    groups = np.array([f"g{index // 3}" for index in range(60)])
    dealt = grouped_folds(np.arange(60) % 2, groups, folds=4)
    assert all(len(set(dealt[groups == name])) == 1 for name in set(groups))
    assert np.bincount(dealt).min() >= 12
    with pytest.raises(DataError, match="fewer folds"):
        grouped_folds(np.arange(3), None, folds=4)


def test_cross_fitted_stacking_gains_nothing_from_noise() -> None:
    rng = np.random.default_rng(2)
    log_probs = np.log(rng.dirichlet(np.ones(4), (80, 12)))
    class_ids = rng.integers(0, 4, 80)
    fitted = fit_mixture(log_probs, class_ids, method="stacking").probs(log_probs)
    honest = cross_fitted_probs(log_probs, class_ids, method="stacking", folds=4)
    rows = np.arange(80)
    assert -np.log(fitted[rows, class_ids]).mean() < np.log(4)
    assert -np.log(honest[rows, class_ids]).mean() > np.log(4) - 0.02


@pytest.mark.parametrize("method", ["equal", "weighted", "greedy", "stacking"])
def test_file_is_the_mixture_of_its_members(tmp_path: Path, faces: Manifest, method: str) -> None:
    members = [
        _member(tmp_path / "one", Preprocessing(size=32), 1, 0.7),
        _member(tmp_path / "two", Preprocessing(size=32), 2, 1.6),
    ]
    result = ensemble(members, faces, tmp_path / "both", method=method, folds=3)
    assert result.parity["max_difference"] < 1e-5
    assert result.folder.config.preprocessing == Preprocessing(size=32)
    assert {f.name for f in (tmp_path / "both").iterdir()} == {
        "model.onnx", "config.json", "README.md", "eval", "split.json"
    }  # fmt: skip
    if method == "equal":
        part = faces.split("valid")
        pictures = [part.images.read(index) for index in range(len(part))]
        each = [EmotionRecognizer(m, detector="none").predict_faces(pictures) for m in members]
        mixed = np.mean(each, axis=0) ** (1 / result.folder.config.temperature)
        found = EmotionRecognizer(tmp_path / "both", detector="none").predict_faces(pictures)
        assert np.allclose(found, mixed / mixed.sum(axis=1, keepdims=True), atol=1e-5)
    report = json.loads((tmp_path / "both" / "eval" / "valid.json").read_text())
    assert [member["folder"] for member in report["members"]] == ["one", "two"]
    assert report["accuracy"] == result.scores["accuracy"]
    assert "cross-fitted" in report["note"]


def test_members_of_different_priors_are_mixed_under_their_mean(
    tmp_path: Path, faces: Manifest
) -> None:
    p = Preprocessing(size=32)
    held, own = (0.2, 0.3, 0.5), (0.6, 0.3, 0.1)
    paths = [
        _member(tmp_path / "one", p, 1, 0.7, ClassPrior(held)),
        _member(tmp_path / "two", p, 2, 1.6, ClassPrior((0.5, 0.25, 0.25), 0.5, own)),
    ]
    folder = ensemble(paths, faces, tmp_path / "both", folds=2).folder
    mean = (0.4, 0.3, 0.3)
    assert folder.config.prior == ClassPrior(mean)
    part = faces.split("valid")
    pictures = [part.images.read(index) for index in range(len(part))]

    def answers(path: Path) -> np.ndarray:
        return EmotionRecognizer(path, detector="none").predict_faces(pictures)

    one, two = (reweigh(answers(m), h, mean) for m, h in zip(paths, (held, own), strict=True))  # type: ignore[arg-type]
    mixed = ((one + two) / 2) ** (1 / folder.config.temperature)
    assert np.allclose(answers(folder.path), mixed / mixed.sum(axis=1, keepdims=True), atol=1e-5)
    report = json.loads((folder.path / "eval" / "valid.json").read_text())
    right = [float((answers(m).argmax(axis=1) == part.class_ids).mean()) for m in paths]
    assert [member["scores"]["accuracy"] for member in report["members"]] == right


def test_priors_of_ensembles(tmp_path: Path, faces: Manifest) -> None:
    known = ClassPrior((0.2, 0.3, 0.5), own=(0.6, 0.3, 0.1))
    p = Preprocessing(size=32)
    paths = [_member(tmp_path / "one", p, 1, prior=known), _member(tmp_path / "two", p, 2)]
    mixed = ensemble(paths, faces, tmp_path / "both", folds=2)
    assert mixed.folder.config.prior is None, "one does not say what it holds"
    assert mixed.parity["max_difference"] < 1e-5
    stacked = ensemble(paths, faces, tmp_path / "stack", folds=2, method="stacking").folder
    assert stacked.config.prior == ClassPrior(label_shares(faces.split("valid").targets))


def test_size_color_and_normalisation_are_converted_inside(tmp_path: Path, faces: Manifest) -> None:
    fixed: dict[str, Any] = {
        "normalization": "fixed", "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.25),
    }  # fmt: skip
    members = [
        _member(tmp_path / "rgb", Preprocessing(size=64, color="rgb", **fixed), 1),
        _member(tmp_path / "gray", Preprocessing(size=64), 2),
    ]
    result = ensemble(members, faces, tmp_path / "same", folds=3)
    assert result.parity["max_difference"] < 1e-4  # faces of 64 px: nothing is resized
    members.append(_member(tmp_path / "small", Preprocessing(size=40), 3))
    result = ensemble(members, faces, tmp_path / "all", folds=3)
    p = result.folder.config.preprocessing
    assert (p.size, p.color, p.mean, p.std) == (64, "rgb", (0.0,) * 3, (1.0,) * 3)
    assert result.parity["max_difference"] < 0.02  # Pillow and ONNX round pixels differently


def test_explaining_needs_no_features(tmp_path: Path, faces: Manifest) -> None:
    members = [_member(tmp_path / name, Preprocessing(size=32), i) for i, name in enumerate("ab")]
    ensemble(members, faces, tmp_path / "ab", folds=3)
    recognizer = EmotionRecognizer(tmp_path / "ab", detector="none")
    image = np.asarray(draw_face("happiness", 0).convert("RGB"))
    crops = crop_faces(image, [[0, 0, 48, 48]], recognizer.config.preprocessing)
    assert explain_crops(recognizer, crops, method="occlusion").shape == (1, 32, 32)
    with pytest.raises(ModelError, match="occlusion"):
        explain_crops(recognizer, crops, method="cam")
    with pytest.raises(ModelError, match=WEIGHTS):
        EmotionRecognizer(tmp_path / "ab", backend="torch")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"crop_margin": 1.2}, "crop margin"),
        ({"preprocessing": Preprocessing(size=32, align="eyes")}, "alignment"),
    ],
)
def test_members_that_cannot_share_a_crop_are_refused(
    tmp_path: Path, faces: Manifest, change: dict[str, Any], words: str
) -> None:
    one = _member(tmp_path / "one", Preprocessing(size=32), 1)
    two = Path(shutil.copytree(one, tmp_path / "two"))
    write_config(two, dataclasses.replace(read_model_folder(two).config, **change))
    with pytest.raises(ConfigError, match=words):
        ensemble([one, two], faces, tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_lanczos_is_refused_where_the_graph_would_resize(tmp_path: Path, faces: Manifest) -> None:
    one = _member(tmp_path / "one", Preprocessing(size=32), 1)
    two = _member(tmp_path / "two", Preprocessing(size=48, interpolation="lanczos"), 2)
    with pytest.raises(ConfigError, match="lanczos"):
        ensemble([one, two], faces, tmp_path / "both")


def test_members_of_other_interpolation_are_read_at_the_largest_ones(
    tmp_path: Path, faces: Manifest
) -> None:
    one = _member(tmp_path / "one", Preprocessing(size=32), 1)
    two = _member(tmp_path / "two", Preprocessing(size=48, interpolation="bicubic"), 2)
    result = ensemble([one, two], faces, tmp_path / "both")
    shared = result.folder.config.preprocessing
    assert (shared.size, shared.interpolation) == (48, "bicubic")
    assert len(result.members) == 2


def test_forms_of_a_replaced_ensemble_do_not_stay(tmp_path: Path, faces: Manifest) -> None:
    members = [_member(tmp_path / name, Preprocessing(size=32), i) for i, name in enumerate("ab")]
    folder = ensemble(members, faces, tmp_path / "ab", folds=3).folder
    shutil.copyfile(folder.path / ONNX, folder.path / "model.int8-static.onnx")
    for name in ("test.json", "valid.png"):
        (folder.path / "eval" / name).write_text("of the ensemble before")
    folder = ensemble(members, faces, folder.path, folds=3, overwrite=True).folder
    assert set(folder.config.files) == {ONNX}
    assert not (folder.path / "model.int8-static.onnx").exists()
    assert [path.name for path in (folder.path / "eval").iterdir()] == ["valid.json"]


def test_unfit_arguments_are_refused(tmp_path: Path, faces: Manifest) -> None:
    one = _member(tmp_path / "one", Preprocessing(size=32), 1)
    with pytest.raises(ConfigError, match="two models"):
        ensemble([one], faces, tmp_path / "out")
    with pytest.raises(ConfigError, match="'greedy'"):
        ensemble([one, one], faces, tmp_path / "out", method="greedi")
    with pytest.raises(ConfigError, match="one of the members"):
        ensemble([one, one], faces, one)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("my own words")
    with pytest.raises(ConfigError, match="not overwritten"):
        ensemble([one, one], faces, tmp_path / "mine", overwrite=True)


def test_weights_by_hand_are_scaled_and_checked() -> None:
    log_probs = np.log(np.array([[[0.9, 0.1], [0.5, 0.5]], [[0.2, 0.8], [0.4, 0.6]]]))
    mixture = fit_mixture(log_probs, np.array([0, 1]), method="3,1")
    assert mixture.weights.tolist() == [0.75, 0.25]
    for method, words in (
        ("1,2,3", "2 numbers"), ("0,0", "all 0"), ("1,-1", "0 or more"),
        ("greedi", "Did you mean 'greedy'"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=words):
            fit_mixture(log_probs, np.array([0, 1]), method=method)
