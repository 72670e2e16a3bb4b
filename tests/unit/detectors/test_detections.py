"""Detections, framing, suppression, the registry and the whole-picture detector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.detectors import (
    Detections,
    Detector,
    Framing,
    crop_box,
    detector_names,
    get_detector,
    nms,
    register_detector,
    registry,
)
from mien.errors import ConfigError, InputError

BOXES = [[0, 0, 10, 10], [0, 0, 40, 20], [5, 5, 25, 25]]
SCORES = [0.9, 0.5, 0.7]


@pytest.fixture
def clean_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))


def _made(*arguments: Any) -> Detections:
    """Returns detections made of lists, as a caller may give them."""
    return Detections(*arguments)


# Detections


@pytest.mark.usefixtures("clean_registry")
def test_detections_are_stored_largest_first_and_read_only() -> None:
    points = np.arange(30, dtype=float).reshape(3, 5, 2)
    boxes = np.array(BOXES, np.float32)
    found = _made(boxes, SCORES, points)
    assert found.boxes_xyxy.tolist() == [BOXES[1], BOXES[2], BOXES[0]]
    assert found.scores.tolist() == pytest.approx([0.5, 0.7, 0.9])
    assert found.landmarks is not None
    assert found.landmarks[:, 0, 0].tolist() == [10, 20, 0]
    assert {a.dtype for a in (found.boxes_xyxy, found.scores, found.landmarks)} == {np.dtype("f4")}
    with pytest.raises(ValueError, match="read-only"):
        found.boxes_xyxy[0] = 0
    boxes[0] = 1  # the caller's own array stays writable and apart
    assert found.boxes_xyxy[2].tolist() == BOXES[0]


def test_detections_of_equal_size_are_ordered_by_score() -> None:
    found = _made([[0, 0, 4, 4], [9, 9, 13, 13]], [0.2, 0.8])
    assert found.boxes_xyxy[0].tolist() == [9, 9, 13, 13]


@pytest.mark.parametrize("boxes", [[], np.zeros((0, 4))])
def test_detections_may_be_empty(boxes: object) -> None:
    found = _made(boxes, [])
    assert len(found) == 0
    assert found.boxes_xyxy.shape == (0, 4)
    assert len(found.keep(min_face=5, max_faces=1)) == 0
    assert len(Detections.empty()) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0, 0, 9]], [1]), r"boxes_xyxy must have shape \(N, 4\); got \(1, 3\)"),
        (([0, 0, 9, 9], [1]), r"boxes_xyxy must have shape"),
        ((BOXES, [1]), r"scores must have shape \(3,\); got \(1,\)"),
        ((BOXES, SCORES, np.zeros((3, 5))), r"landmarks must have shape \(3, 5, 2\)"),
        (([[0, 0, 9, np.nan]], [1]), "not finite"),
        (([[9, 0, 0, 9]], [1]), "x1 < x2"),
        (([[0, 5, 9, 5]], [1]), "y1 < y2"),
        ((BOXES, [0.1, 0.2, 1.1]), "0..1"),
        ((BOXES, ["a", "b", "c"]), "not an array of numbers"),
    ],
)
def test_detections_refuse(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Detections(*arguments)


@pytest.mark.parametrize(
    ("options", "sides"),
    [
        ({}, [40, 20, 10]),
        ({"min_face": 20}, [40, 20]),
        ({"min_face": 20.5}, [40]),
        ({"max_faces": 1}, [40]),
        ({"max_faces": 0}, []),
        ({"min_face": 15, "max_faces": 9}, [40, 20]),
    ],
)
def test_keep_obeys_options(options: dict[str, Any], sides: list[int]) -> None:
    found = _made(BOXES, SCORES, np.zeros((3, 5, 2))).keep(**options)
    assert (found.boxes_xyxy[:, 2] - found.boxes_xyxy[:, 0]).tolist() == sides
    assert found.landmarks is not None
    assert found.landmarks.shape == (len(sides), 5, 2)


@pytest.mark.parametrize(
    "options", [{"min_face": -1}, {"min_face": float("nan")}, {"max_faces": -1}, {"max_faces": 1.5}]
)
@pytest.mark.parametrize("spec", ["keep", "none", "haar"])
def test_impossible_options_are_refused(spec: str, options: dict[str, Any]) -> None:
    call = _made(BOXES, SCORES).keep
    if spec != "keep":
        detector, picture = get_detector(spec), np.zeros((30, 30, 3), np.uint8)
        call = lambda **kw: detector.detect(picture, **kw)  # noqa: E731
    with pytest.raises(ConfigError, match=r"m(in|ax)_face"):
        call(**options)


# Framing


@pytest.mark.parametrize(
    ("box", "framing", "margin", "square"),
    [
        ([0, 0, 48, 48], Framing(), 1.0, [0, 0, 48, 48]),
        ([10, 20, 26, 56], Framing(), 1.0, [6, 26, 30, 50]),  # sqrt(16 * 36) = 24
        ([10, 20, 26, 56], Framing(side="max"), 1.0, [0, 20, 36, 56]),
        ([0, 0, 10, 10], Framing(scale=2, shift_x=0.1, shift_y=-0.2), 1.0, [-3, -9, 17, 11]),
        ([0, 0, 10, 10], Framing(scale=2, shift_x=0.1, shift_y=-0.2), 1.5, [-8, -14, 22, 16]),
        ([[0, 0, 2, 2], [4, 4, 8, 8]], Framing(), 2.0, [[-1, -1, 3, 3], [2, 2, 10, 10]]),
    ],
)
def test_crop_box_by_hand(box: Any, framing: Framing, margin: float, square: Any) -> None:
    np.testing.assert_allclose(crop_box(box, framing, margin), square, atol=1e-9)


def test_crop_box_of_no_boxes() -> None:
    assert crop_box(np.zeros((0, 4), np.float32), Framing()).shape == (0, 4)


coordinates = st.floats(-1e4, 1e4)
sizes = st.floats(0.5, 1e4)


@given(coordinates, coordinates, sizes, sizes, st.floats(0.2, 4), st.floats(-1, 1), sizes)
def test_crop_box_is_square_and_follows_scale_and_place(
    x: float, y: float, w: float, h: float, scale: float, shift: float, factor: float
) -> None:
    framing = Framing(scale, shift, -shift)
    square = crop_box([x, y, x + w, y + h], framing)
    sides = square[2:] - square[:2]
    assert sides[0] == pytest.approx(sides[1], rel=1e-6)
    assert sides[0] == pytest.approx(scale * np.sqrt(w * h), rel=1e-6)
    larger = crop_box(np.array([x, y, x + w, y + h]) * factor, framing)
    np.testing.assert_allclose(larger, square * factor, rtol=1e-6, atol=1e-3 * factor)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Framing(scale=0), "scale above 0"),
        (lambda: Framing(shift_x=float("nan")), "finite"),
        (lambda: Framing(side="min"), "'sqrt' or 'max'"),  # type: ignore[arg-type]
        (lambda: crop_box([1, 2, 3], Framing()), r"shape \(4,\) or \(N, 4\); got \(3,\)"),
        (lambda: crop_box([0, 0, 1, 1], Framing(), 0), "margin"),
    ],
)
def test_framing_refuses(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call()


# Suppression


def test_nms_by_hand() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 5, 10, 15], [0, 0, 10, 9], [50, 0, 60, 10]], float)
    scores = np.array([0.9, 0.8, 0.95, 0.1])  # overlaps of box 2 with 0 and 1: 0.9 and 40 / 150
    assert nms(boxes, scores, iou_threshold=0.3).tolist() == [2, 1, 3]
    assert nms(boxes, scores, iou_threshold=0.26).tolist() == [2, 3]
    assert nms(boxes, scores, iou_threshold=0.95).tolist() == [2, 0, 1, 3]


def test_nms_of_nothing() -> None:
    assert nms(np.zeros((0, 4)), np.zeros(0)).shape == (0,)


def test_nms_agrees_with_opencv() -> None:
    cv2 = pytest.importorskip("cv2")
    rng = np.random.default_rng(3)
    for _ in range(20):
        low = rng.uniform(0, 100, (60, 2))
        size = rng.uniform(5, 40, (60, 2))
        scores = rng.permutation(60) / 60 + 0.01
        kept = nms(np.hstack([low, low + size]), scores, iou_threshold=0.4)
        assert kept.tolist() == cv2.dnn.NMSBoxes(np.hstack([low, size]), scores, 0, 0.4).tolist()


# Registry


class Fixed(Detector):
    name = "fixed"

    def detect(
        self, image_rgb: np.ndarray, *, min_face: float = 20, max_faces: int | None = None
    ) -> Detections:
        return _made([[0, 0, 30, 30]], [1]).keep(min_face=min_face, max_faces=max_faces)


@pytest.mark.usefixtures("clean_registry")
def test_register_detector_makes_a_name_known() -> None:
    seen = []

    @register_detector("fixed")
    def make(argument: str | None, threads: int) -> Fixed:
        seen.append((argument, threads))
        return Fixed()

    assert "fixed" in detector_names()
    assert isinstance(get_detector("fixed:a:b", threads=3), Fixed)
    get_detector("fixed")
    assert seen == [("a:b", 3), (None, 0)]
    with pytest.raises(ConfigError, match="the name is taken"):
        register_detector("fixed")


@pytest.mark.parametrize("name", ["", "a:b"])
def test_register_detector_refuses_a_bad_name(name: str) -> None:
    with pytest.raises(ConfigError, match="empty or has a colon"):
        register_detector(name)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("hare", "Did you mean 'haar'"),
        ("mtcnn", "Known: .*haar, mien, none, yunet"),
        ("", "no face detector ''"),
        ("none:x", "takes nothing after a colon; got 'x'"),
        ("haar:x", "takes nothing after a colon"),
        ("mien:high", "mien:SCORE"),
        ("mien:1.5", "between 0 and 1"),
        ("yunet:", "needs the path"),
        (None, "an object with a method detect"),
        (object(), "an object with a method detect"),
    ],
)
def test_get_detector_refuses(spec: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        get_detector(spec)


@pytest.mark.parametrize("threads", [-1, 1.5, True])
def test_get_detector_refuses_impossible_threads(threads: object) -> None:
    with pytest.raises(ConfigError, match="threads"):
        get_detector("none", threads=threads)  # type: ignore[arg-type]


def test_get_detector_returns_a_detector_as_it_is() -> None:
    detector = Fixed()
    assert get_detector(detector) is detector


@pytest.mark.usefixtures("clean_registry")
def test_registered_class_with_detect_alone_gets_the_defaults() -> None:
    class Plain:
        detect = Fixed.detect

    register_detector("plain")(lambda _argument, _threads: Plain())
    for detector in (get_detector(Plain()), get_detector("plain")):
        assert (detector.name, detector.min_score, detector.working_side) == ("Plain", 0, None)
        assert detector.framing == Framing()
        assert len(detector.single_threaded().detect(np.zeros((40, 40, 3), np.uint8))) == 1


# The whole picture


@pytest.mark.parametrize(
    ("shape", "square"),
    [((48, 48), [0, 0, 48, 48]), ((48, 40), [0, 4, 40, 44]), ((10, 30), [10, 0, 20, 10])],
)
def test_none_takes_the_largest_centred_square(shape: tuple[int, int], square: list[float]) -> None:
    detector = get_detector("none")
    found = detector.detect(np.zeros((*shape, 3), np.uint8))
    assert found.boxes_xyxy.tolist() == [square]
    assert found.scores.tolist() == [1]
    assert crop_box(found.boxes_xyxy[0], detector.framing).tolist() == square


@pytest.mark.parametrize("spec", ["none", "haar"])
@pytest.mark.parametrize(
    "picture", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3)), np.zeros((0, 9, 3), np.uint8), "x"]
)
def test_detectors_refuse_what_is_no_picture(spec: str, picture: object) -> None:
    with pytest.raises(InputError, match=r"mien\.images\.decode"):
        get_detector(spec).detect(picture)  # type: ignore[arg-type]
