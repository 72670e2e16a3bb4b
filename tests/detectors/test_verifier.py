"""``mien:verify``: the second network, from candidates to answers."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mien.detectors import get_detector
from mien.detectors.boxes import nms
from mien.detectors.bundle import CONFIG, FOLDER, NETWORK, VERIFIER, FinderConfig, VerifyConfig
from mien.detectors.framing import Framing
from mien.detectors.mien import MienDetector
from mien.errors import ConfigError, DataError, InputError, ModelError
from mien.images import decode

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLE = FOLDER.parent / "sample" / "astronaut.jpg"


@pytest.fixture(scope="module")
def verify() -> MienDetector:
    return MienDetector(verify=True, threads=1)


def test_astronaut_is_verified(verify: MienDetector) -> None:
    picture = decode(SAMPLE)
    found, plain = verify.detect(picture), MienDetector(threads=1).detect(picture)
    assert verify.name == "mien:verify"
    assert len(found) == 1
    assert found.scores[0] > 0.9
    assert np.abs(found.boxes_xyxy - plain.boxes_xyxy).max() < 5
    assert found.landmarks is not None
    assert found.landmarks.shape == (1, 5, 2)


def test_square_of_a_face_is_found_where_the_first_score_is_low(verify: MienDetector) -> None:
    """What the second network is for: a gray square from brow to chin on another picture."""
    from PIL import Image

    whole = decode(SAMPLE)
    x1, y1, x2, y2 = (int(v) for v in MienDetector().detect(whole).boxes_xyxy[0])
    face = Image.fromarray(whole[y1:y2, x1:x2]).convert("L").resize((24, 24)).resize((90, 90))
    scene = np.asarray(Image.effect_noise((320, 320), 60).convert("RGB")).copy()
    scene[120:210, 60:150] = np.asarray(face.convert("RGB"))
    found = verify.detect(scene)
    assert len(found) == 1
    middle = (found.boxes_xyxy[0, :2] + found.boxes_xyxy[0, 2:]) / 2
    assert np.abs(middle - (105, 165)).max() < 20


@pytest.mark.parametrize("shape", [(1, 1), (1, 20_000), (20_000, 1), (33, 31), (480, 640)])
def test_hostile_pictures_have_no_face(verify: MienDetector, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for picture in (np.zeros((*shape, 3), np.uint8), rng.integers(0, 256, (*shape, 3), np.uint8)):
        start = time.perf_counter()
        assert len(verify.detect(picture)) == 0
        assert time.perf_counter() - start < 20


def test_crowd_is_answered_in_bounded_time(verify: MienDetector) -> None:
    face = decode(SAMPLE)[::4, ::4][:64, :64]
    start = time.perf_counter()
    found = verify.detect(np.tile(face, (25, 25, 1)), min_face=0)
    assert time.perf_counter() - start < 20
    assert len(found) <= 1000
    with pytest.raises(InputError):
        verify.detect(np.zeros((10, 10), np.uint8))


def test_of_a_crowd_beyond_the_judged_the_first_word_counts(
    verify: MienDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = np.tile(decode(SAMPLE), (1, 2, 1))
    first = MienDetector(threads=1).detect(picture)
    monkeypatch.setattr("mien.detectors.mien._MAX_JUDGED", 0)
    found = verify.with_min_score(0.5).detect(picture)
    assert found.scores.tolist() == pytest.approx(first.scores.tolist(), abs=0.02)
    monkeypatch.setattr("mien.detectors.mien._MAX_JUDGED", 1)
    assert len(verify.with_min_score(0.5).detect(picture)) == 2


def test_wishes_and_other_scores(verify: MienDetector) -> None:
    picture = np.tile(decode(SAMPLE), (1, 2, 1))
    assert len(verify.detect(picture)) == 2
    assert len(verify.detect(picture, max_faces=1)) == 1
    assert len(verify.detect(picture, min_face=400)) == 0
    asking = verify.with_min_score(0.9999)
    assert (asking.min_score, verify.min_score) == (0.9999, verify.config.verify.min_score)
    assert asking.detect(picture).scores.min(initial=1) >= 0.9999


def test_it_is_typed_as_verify() -> None:
    assert get_detector("mien:verify").name == "mien:verify"
    with pytest.raises(ConfigError, match="mien:verify"):
        get_detector("mien:verified")


def test_folder_without_or_with_another_verifier_is_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "detector")
    (folder / VERIFIER).write_bytes((folder / VERIFIER).read_bytes()[:-9])
    with pytest.raises(ModelError, match="damaged or was changed"):
        MienDetector(folder, verify=True)
    shutil.copyfile(folder / NETWORK, folder / VERIFIER)
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(
        json.dumps(config | {"verify": config["verify"] | {"sha256": config["sha256"]}})
    )
    with pytest.raises(ModelError, match="no network that judges"):
        MienDetector(folder, verify=True)
    (folder / CONFIG).write_text(json.dumps({k: v for k, v in config.items() if k != "verify"}))
    with pytest.raises(ModelError, match="names no network"):
        MienDetector(folder, verify=True)
    assert len(MienDetector(folder).detect(decode(SAMPLE))) == 1
    (folder / CONFIG).write_text(json.dumps(config | {"verify": {"propose": 2, "min_score": 0.5}}))
    with pytest.raises(ModelError, match="propose"):
        MienDetector(folder)


def test_config_goes_there_and_back() -> None:
    config = FinderConfig(0.5, Framing(), verify=VerifyConfig(0.05, 0.8, "ab", "faces"))
    assert FinderConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_box_inside_a_surer_one_goes() -> None:
    boxes = np.array([[0, 0, 40, 40], [5, 5, 15, 15], [36, 36, 60, 60]], float)
    scores = np.array([0.9, 0.8, 0.7])
    assert nms(boxes, scores).tolist() == [0, 1, 2]
    assert nms(boxes, scores, inside=0.6).tolist() == [0, 2]
    assert nms(boxes, scores[::-1], inside=0.6).tolist() == [2, 1]


class TestTraining:
    torch = pytest.importorskip("torch")

    @pytest.fixture(autouse=True)
    def threads(self) -> Iterator[None]:
        """A training sets the number of threads of its process: other tests get theirs back."""
        before = self.torch.get_num_threads()
        yield
        self.torch.set_num_threads(before)

    @staticmethod
    def found(count: int = 60) -> object:
        from mien.training.finder.candidates import Candidates

        rng = np.random.default_rng(0)
        is_face = np.arange(count) % 3 == 0
        crops = rng.integers(0, 90, (count, 64, 64)).astype(np.uint8)
        crops[is_face, 20:44, 20:44] += 150
        group = (np.arange(count) // 3 % 5).astype(np.int8)
        return Candidates(crops, rng.uniform(0.03, 0.9, count).astype(np.float32), is_face, group)

    def folder(self, place: Path) -> Path:
        from dataclasses import asdict

        place.mkdir()
        np.savez(place / "candidates-000.npz", **asdict(self.found()))
        return place

    @staticmethod
    def config(folder: Path, **more: object) -> object:
        from mien.training.finder.verifier_config import make_verifier_config

        return make_verifier_config({
            "candidates": str(folder), "first_steps": 3, "steps": 6, "batch_size": 8,
            "log_every": 2, "threads": 1, "precision": "32", "seed": 2, **more,
        })  # fmt: skip

    @pytest.mark.parametrize("last", [2, 5])
    def test_stopped_run_resumes_to_the_same_weights(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: int
    ) -> None:
        from mien.training.finder.verifying import VerifierTraining, train_verifier
        from safetensors.numpy import load_file

        config = self.config(self.folder(tmp_path / "candidates"))
        whole = train_verifier(config, tmp_path / "whole", progress=False)
        learn = VerifierTraining.learn

        def stopping(training: VerifierTraining) -> float:
            if training.step == last:
                raise KeyboardInterrupt
            return learn(training)

        monkeypatch.setattr(VerifierTraining, "learn", stopping)
        with pytest.raises(KeyboardInterrupt):
            train_verifier(config, tmp_path / "cut", progress=False)
        monkeypatch.setattr(VerifierTraining, "learn", learn)
        cut = train_verifier(config, tmp_path / "cut", resume=True, progress=False)
        expected, got = load_file(whole), load_file(cut)
        for name in expected:
            assert np.array_equal(expected[name], got[name]), name

    def test_run_directory_is_guarded(self, tmp_path: Path) -> None:
        from mien.training.finder.verifying import train_verifier

        folder = self.folder(tmp_path / "candidates")
        config = self.config(folder, first_steps=1, steps=1)
        train_verifier(config, tmp_path / "run", progress=False)
        with pytest.raises(ConfigError, match="--resume"):
            train_verifier(config, tmp_path / "run")
        with pytest.raises(ConfigError, match="other values"):
            train_verifier(self.config(folder, steps=9), tmp_path / "run", resume=True)
        with pytest.raises(ConfigError, match="mien finder candidates"):
            train_verifier(self.config(Path()).__class__(), tmp_path / "other")
        with pytest.raises(DataError, match="holds no candidates"):
            train_verifier(self.config(tmp_path), tmp_path / "other")
        assert not (tmp_path / "other").exists()

    def test_second_round_prefers_what_is_hard(self, tmp_path: Path) -> None:
        from mien.training.finder.verifying import sampling

        found, config = self.found(), self.config(tmp_path)
        plain = sampling(found, config)
        assert plain.sum() == pytest.approx(1)
        assert plain[found.is_face].sum() == pytest.approx(0.5)
        logits = np.where(found.is_face, 4.0, -4.0).astype(np.float32)
        animal, person = (
            np.flatnonzero(~found.is_face & (found.group == group))[0] for group in (2, 0)
        )
        logits[[animal, person]] = 5
        hard = sampling(found, config, logits)
        others = ~found.is_face & (found.group == 2) & (logits < 0)
        assert hard[animal] > 5 * hard[others].max()
        assert hard[person] == 0  # a face, most likely, that no teacher saw

    def test_network_learns_the_square_from_noise(self, tmp_path: Path) -> None:
        from mien.training.finder.verifying import VerifierTraining

        config = self.config(
            tmp_path, first_steps=25, steps=25, lr=0.002, head_lr=0.002, ema_decay=0.5,
            start=str(FOLDER.parent / "mienet_s.ferplus8"),
        )  # fmt: skip
        training = VerifierTraining(config, self.found())
        for _ in range(25):
            training.learn()
        right = (training.assess() > 0) == self.found().is_face
        assert right.mean() > 0.9

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"stepps": 3}, "Did you mean 'steps'"),
            ({"steps": 3, "first_steps": 4}, "at most steps"),
            ({"lr": 0}, "lr must"),
            ({"precision": "16"}, "precision"),
            ({"warmup": "much"}, "warmup"),
        ],
    )
    def test_impossible_recipes_are_refused(self, values: dict, message: str) -> None:
        from mien.training.finder.verifier_config import make_verifier_config

        with pytest.raises(ConfigError, match=message):
            make_verifier_config(values)

    def test_recipe_of_the_bundled_verifier_is_valid(self) -> None:
        from mien.training.finder.verifier_config import load_verifier_recipe

        recipe = Path(__file__).resolve().parents[2] / "recipes" / "verifier" / "verifier.yaml"
        assert load_verifier_recipe(recipe, seed=3).seed == 3

    def test_weights_of_an_expression_model_start_it(self, tmp_path: Path) -> None:
        from mien.training.finder.verifying import start_network
        from safetensors.torch import load_file

        model = FOLDER.parent / "mienet_s.ferplus8"
        expected = load_file(model / "model.safetensors")
        network = start_network(str(model))
        for name, value in network.backbone.state_dict().items():
            assert self.torch.equal(value.float(), expected[name].float()), name
        (tmp_path / "model.safetensors").write_bytes(b"no weights")
        with pytest.raises(ModelError, match="mienet_s"):
            start_network(str(tmp_path))

    def test_export_agrees_with_torch(self, tmp_path: Path) -> None:
        pytest.importorskip("onnx")
        from mien.models.verifier import Verifier
        from mien.training.finder.verifier_export import export_verifier_onnx

        assert export_verifier_onnx(Verifier(), tmp_path / VERIFIER) < 1e-3
        assert (tmp_path / VERIFIER).stat().st_size < 3_100_000

    def test_what_is_a_face_and_what_is_left_out(self) -> None:
        from mien.training.finder.candidates import assess

        labelled = np.float32([[0, 0, 20, 20], [50, 50, 70, 70]])
        boxes = np.float32([[1, 1, 20, 21], [8, 0, 30, 20], [52, 50, 70, 71], [90, 0, 99, 9]])
        assert assess(boxes, labelled, np.array([True, False])).tolist() == [1, -1, -1, 0]
        assert assess(boxes, labelled[:0], np.zeros(0, bool)).tolist() == [0, 0, 0, 0]

    def test_parts_are_the_same_whenever_they_are_made(self) -> None:
        from mien.training.finder.candidates import GROUPS, PROPOSE, Gatherer
        from mien.training.finder.pool import Pool, Source
        from mien.training.finder.warp import make_levels
        from PIL import Image

        whole = Image.fromarray(decode(SAMPLE))
        found = MienDetector(threads=1).detect(np.asarray(whole))
        scene = Source(make_levels(whole), found.boxes_xyxy, found.landmarks, np.ones(1, bool))
        bare = Source(
            make_levels(whole.crop((0, 200, 300, 400))), np.zeros((0, 4), np.float32),
            np.zeros((0, 5, 2), np.float32), np.zeros(0, bool),
            np.float32([[20, 20, 60, 60]]),
        )  # fmt: skip
        pool = Pool({"people": [scene, bare], "portraits": [scene], "animals": [bare]}, [])
        face = whole.crop(tuple(found.boxes_xyxy[0].tolist())).convert("L").resize((48, 48))
        faces = np.stack([np.asarray(face)] * 12)
        box = np.float32([0.1, 0.1, 0.9, 1])
        detector = MienDetector(min_score=PROPOSE, threads=1)
        gatherer = Gatherer(pool, faces, box, detector, parts=1, composed=3)
        one, two = gatherer.part(0), gatherer.part(0)
        assert np.array_equal(one.crops, two.crops)
        assert one.crops.shape[1:] == (64, 64)
        assert len(one.scores) == len(one.is_face) == len(one.group) == len(one.crops)
        assert one.scores.min() >= PROPOSE
        pasted = one.is_face & (one.group == GROUPS.index("pasted"))
        assert pasted.sum() >= 3
        assert not one.is_face[one.group == GROUPS.index("animals")].any()
        # What is stored as a face shows one: its middle looks like the face pasted.
        stored = one.crops[pasted][:, 9:55, 9:55].astype(float).reshape(pasted.sum(), -1)
        truth = np.asarray(face.resize((46, 46)), float).ravel()
        likeness = [np.corrcoef(row, truth)[0, 1] for row in stored]
        assert max(likeness) > 0.6
