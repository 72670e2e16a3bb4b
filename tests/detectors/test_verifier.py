"""``mien:verify``: the second network, from candidates to answers."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from mien.detectors import get_detector
from mien.detectors.boxes import nms
from mien.detectors.bundle import CONFIG, FOLDER, NETWORK, VERIFIER, DetectorConfig, VerifyConfig
from mien.detectors.framing import Framing
from mien.detectors.mien import MienDetector
from mien.errors import ConfigError, InputError, ModelError
from mien.images import decode

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


def test_options_and_other_scores(verify: MienDetector) -> None:
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
    config = DetectorConfig(0.5, Framing(), verify=VerifyConfig(0.05, 0.8, "ab", "faces"))
    assert DetectorConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_box_inside_a_more_confident_one_goes() -> None:
    boxes = np.array([[0, 0, 40, 40], [5, 5, 15, 15], [36, 36, 60, 60]], float)
    scores = np.array([0.9, 0.8, 0.7])
    assert nms(boxes, scores).tolist() == [0, 1, 2]
    assert nms(boxes, scores, inside=0.6).tolist() == [0, 2]
    assert nms(boxes, scores[::-1], inside=0.6).tolist() == [2, 1]
