from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from mien.errors import ConfigError, InputError
from mien.results import ErrorResult, FaceEmotion, ImageResult, csv_header

LABELS = ("sad", "happy")


def _face(**changes: object) -> FaceEmotion:
    values = {
        "box_xyxy": (1, 2, 30, 40), "detection_score": 0.9,
        "landmarks": ((1, 1), (2, 2), (3, 3), (4, 4), (5, 5)),
        "emotion": "happy", "confidence": 0.75, "probs": {"sad": 0.25, "happy": 0.75},
    }  # fmt: skip
    return FaceEmotion(**{**values, **changes})  # type: ignore[arg-type]


def _image(**changes: object) -> ImageResult:
    values = {
        "source": "a.jpg", "width": 64, "height": 48, "faces": (_face(), _face(track_id=3)),
        "model": "m", "detector": "d", "timings_ms": {"run": 1.5},
    }  # fmt: skip
    return ImageResult(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "record", [_image(), _image(faces=()), _face(landmarks=None), ErrorResult("b", "bad", "X")]
)
def test_round_trip_through_json(record: object) -> None:
    assert type(record).from_json(record.to_json()) == record  # type: ignore[attr-defined]
    assert type(record).from_dict(record.to_dict()) == record  # type: ignore[attr-defined]


def test_numpy_values_become_plain_json() -> None:
    face = FaceEmotion.from_probs(
        LABELS,
        np.array([0.25, 0.75], np.float32),
        box_xyxy=np.array([1, 2, 30, 40], np.float32),
        detection_score=np.float32(0.9),  # type: ignore[arg-type]
        landmarks=np.ones((5, 2), np.float32),
    )
    json.dumps(_image(faces=(face,), width=np.int64(64)).to_dict(), allow_nan=False)
    assert type(face.box_xyxy[0]) is float
    assert face.emotion == "happy"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"box_xyxy": (5, 2, 5, 40)}, "x1 < x2"),
        ({"box_xyxy": (1, 2, 3)}, "expected 4 numbers, got 3"),
        ({"box_xyxy": (1, 2, float("nan"), 4)}, "finite"),
        ({"box_xyxy": "1234"}, "sequence"),
        ({"probs": {"sad": 0.25, "happy": 0.7}}, "sum of 1"),
        ({"probs": {"sad": -0.25, "happy": 1.25}}, "from 0 to 1"),
        ({"emotion": "sad", "confidence": 0.25}, "top of probs"),
        ({"emotion": "hapy"}, "Did you mean 'happy'"),
        ({"confidence": 0.5}, "confidence"),
        ({"detection_score": 1.5}, "detection_score"),
        ({"landmarks": ((1, 2, 3),)}, "landmarks"),
        ({"track_id": -1}, "track_id"),
        ({"track_id": True}, "track_id"),
    ],
)
def test_impossible_face_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        _face(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 0}, "width"),
        ({"height": 1.5}, "height"),
        ({"faces": ("x",)}, "FaceEmotion"),
        ({"source": 3}, "source"),
        ({"timings_ms": {"run": float("inf")}}, "run"),
    ],
)
def test_impossible_image_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        _image(**changes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "JSON"),
        ("[]", "mapping"),
        ('{"schema_version": 1}', "schema_version 2.*read the picture again"),
        ('{"schema_version": 3}', "schema_version 2.*pip install -U mien"),
        ('{"source": "a", "error": "b"}', "missing kind"),
        ('{"source": "a", "error": "b", "kind": "c", "knid": 1}', "Did you mean 'kind'"),
    ],
)
def test_foreign_json_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ErrorResult.from_json(text)


def test_rows_have_the_columns_of_the_header() -> None:
    header = csv_header(LABELS)
    rows = [
        *_image().to_rows(LABELS),
        *_image(faces=()).to_rows(LABELS),
        *ErrorResult("b", "bad", "InputError").to_rows(LABELS),
    ]
    assert [list(row) for row in rows] == [header] * 4
    assert [row["face"] for row in rows] == [1, 2, "", ""]
    assert rows[0]["p_happy"] == 0.75
    assert rows[3]["error"] == "bad"


def test_drawing_changes_the_box_and_leaves_the_picture_alone() -> None:
    picture = np.zeros((200, 300, 3), np.uint8)
    result = _image(width=300, height=200, faces=(_face(box_xyxy=(100, 60, 180, 150)),))
    drawn = result.draw(picture)
    assert not picture.any()
    assert drawn[60:151, 100].any()
    assert not drawn[160:, :].any()


@pytest.mark.parametrize(
    "box", [(-50, -50, 500, 400), (0, 0, 1, 1), (299, 199, 310, 220), (400, 300, 500, 400)]
)
def test_drawing_survives_any_box(box: tuple[float, ...]) -> None:
    picture = np.zeros((200, 300, 3), np.uint8)
    result = _image(width=300, height=200, faces=(_face(box_xyxy=box),))
    assert result.draw(picture).shape == picture.shape


def test_drawing_on_another_picture_is_refused() -> None:
    with pytest.raises(InputError, match="belongs to"):
        _image().draw(np.zeros((10, 10, 3), np.uint8))


def test_rows_of_other_labels_are_refused() -> None:
    for labels in (("sad",), ("sad", "glad"), ("sad", "happy", "calm")):
        with pytest.raises(ConfigError, match="expected sad, happy"):
            _image().to_rows(labels)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"probs": [1.0]}, "expected 2 numbers, got 1"),
        ({"probs": [np.nan, 1.0]}, "finite"),
        ({"box_xyxy": None}, "box_xyxy"),
        ({"landmarks": 3}, "landmarks"),
        ({"landmarks": [3]}, "landmarks"),
    ],
)
def test_impossible_row_of_probabilities_is_refused(changes: dict[str, object], words: str) -> None:
    values = {"probs": [0.5, 0.5], "box_xyxy": (0, 0, 1, 1), "detection_score": 1} | changes
    with pytest.raises(ConfigError, match=words):
        FaceEmotion.from_probs(LABELS, **values)  # type: ignore[arg-type]


def test_numbers_survive_json_to_the_last_bit() -> None:
    rng = np.random.default_rng(0)
    labels = tuple(f"c{index}" for index in range(8))
    faces = tuple(
        FaceEmotion.from_probs(
            labels,
            rng.dirichlet(np.ones(8)).astype(dtype),
            box_xyxy=np.sort(rng.normal(0, 1e3, 4))[[0, 1, 2, 3]].astype(dtype),
            detection_score=rng.random(),
            landmarks=rng.normal(0, 1e3, (5, 2)).astype(dtype),
            track_id=int(rng.integers(9)),
        )
        for dtype in (np.float32, np.float64)
        for _ in range(20)
    )
    result = _image(faces=faces, source="\udcff \u00e9 \u2028.jpg")
    assert ImageResult.from_json(result.to_json()) == result
    assert ImageResult.from_json(result.to_json(indent=2)) == result
    assert [list(face.probs) for face in ImageResult.from_json(result.to_json()).faces] == [
        list(labels)
    ] * len(faces)


def test_result_survives_a_process_border_and_does_not_share_its_dict() -> None:
    probs = {"sad": 0.25, "happy": 0.75}
    result = _image(faces=(_face(probs=probs),))
    probs["sad"] = 9.0
    assert result.faces[0].probs == {"sad": 0.25, "happy": 0.75}
    assert pickle.loads(pickle.dumps(result)) == result
    assert hash(result) == hash(_image(faces=(_face(),)))
