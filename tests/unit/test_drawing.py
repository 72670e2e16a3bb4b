from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from mien.errors import InputError
from mien.labels import FER7, FERPLUS8, HES3
from mien.results import FaceEmotion, ImageResult, annotation
from mien.results.annotation import draw_faces
from mien.results.drawing import PALETTE, color_of, contrasting


def _face(
    box: tuple[float, ...] = (100, 60, 180, 150),
    top: str = "happiness",
    labels: tuple[str, ...] = FERPLUS8.labels,
    track_id: int | None = None,
) -> FaceEmotion:
    probs = [0.8 if label == top else 0.2 / (len(labels) - 1) for label in labels]
    return FaceEmotion.from_probs(labels, probs, box_xyxy=box, detection_score=1, track_id=track_id)


def _draw(*faces: FaceEmotion, width: int = 300, height: int = 200, fill: int = 0) -> np.ndarray:
    picture = np.full((height, width, 3), fill, np.uint8)
    return draw_faces(picture, ImageResult("x", width, height, faces, "m", "d", {}))


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, ...]]:
    """Collects the rectangles that labels were given."""
    found: list[tuple[float, ...]] = []
    inner = annotation._draw_label

    def spy(*args: object) -> tuple[float, ...] | None:
        room = inner(*args)  # type: ignore[arg-type]
        found.extend([room] if room else [])
        return room

    monkeypatch.setattr(annotation, "_draw_label", spy)
    return found


def _crowd(
    seed: int, lefts: range, tops: range, sides: tuple[float, float]
) -> list[tuple[float, float, float, float]]:
    """Returns the boxes of faces in rows and columns, of any width in a range."""
    rng = np.random.default_rng(seed)
    return [
        (x, y, x + side, y + 1.2 * side)
        for x in lefts
        for y in tops
        for side in [rng.uniform(*sides)]
    ]


def _luminance(color: Sequence[int]) -> float:
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (value / 255 for value in color)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def test_box_stands_where_the_face_is_in_the_colour_of_its_emotion() -> None:
    drawn = _draw(_face())
    yellow = PALETTE[FERPLUS8.index("happiness")]
    for x, y in ((100, 100), (180, 100), (140, 60), (140, 150)):
        assert tuple(drawn[y, x]) == yellow
    assert not drawn[70:140, 110:170].any(), "the face itself is left alone"
    assert not drawn[160:].any()


def test_picture_without_a_face_is_an_equal_copy() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    drawn = draw_faces(picture, ImageResult("x", 30, 20, (), "m", "d", {}))
    assert (drawn == picture).all()
    drawn[:] = 0
    assert picture.any()


@pytest.mark.parametrize(
    "box", [(-50, -50, 500, 400), (0, 0, 1, 1), (299, 199, 310, 220), (-9, 50, 0.5, 90)]
)
def test_any_box_is_drawn_without_complaint(box: tuple[float, ...]) -> None:
    assert _draw(_face(box)).shape == (200, 300, 3)


def test_box_outside_the_picture_draws_nothing() -> None:
    assert not _draw(_face((400, 300, 500, 400))).any()


@pytest.mark.parametrize(
    "box",
    [
        (100, 60, 180, 150),
        (0, 0, 60, 60),
        (260, 150, 299, 199),
        (0, 0, 299, 199),
        (250, 2, 299, 60),
    ],
)
def test_label_stays_inside_the_picture(
    box: tuple[float, ...], rooms: list[tuple[float, ...]]
) -> None:
    _draw(_face(box))
    x1, y1, x2, y2 = rooms[0]
    assert 0 <= x1 < x2 <= 299
    assert 0 <= y1 < y2 <= 199


def test_crowd_has_no_label_on_a_label_or_on_another_face(rooms: list[tuple[float, ...]]) -> None:
    corners = _crowd(0, range(5, 760, 50), range(5, 560, 45), (12, 30))
    _draw(*(_face(box) for box in corners), width=800, height=600)
    assert len(corners) > 200
    assert len(rooms) > 100
    for index, room in enumerate(rooms):
        assert not any(_overlap(room, other) for other in rooms[:index])
        assert sum(_overlap(room, box) for box in corners) <= 1, "its own at most"


def test_largest_face_gets_its_label_first(rooms: list[tuple[float, ...]]) -> None:
    _draw(_face((10, 100, 40, 140)), _face((100, 60, 200, 190)))
    assert rooms[0][0] == 100


def test_smallest_face_picture_of_the_field_still_has_a_label(
    rooms: list[tuple[float, ...]],
) -> None:
    drawn = _draw(_face((0, 0, 48, 48)), width=48, height=48)
    assert len(rooms) == 1
    assert not drawn[20:40, 10:40].any(), "eyes and mouth stay visible"


def test_picture_of_one_pixel_is_drawn() -> None:
    assert _draw(_face((0, 0, 1, 1)), width=1, height=1).shape == (1, 1, 3)


def test_letters_and_lines_grow_with_the_picture(rooms: list[tuple[float, ...]]) -> None:
    small = _draw(_face((100, 60, 180, 150)))
    large = _draw(_face((1000, 600, 1800, 1500)), width=3000, height=2000)
    small_room, large_room = rooms
    assert large_room[3] - large_room[1] > 4 * (small_room[3] - small_room[1])
    yellow = np.array(PALETTE[FERPLUS8.index("happiness")])
    lines = [int((row == yellow).all(axis=-1).sum()) for row in (small[100], large[1000])]
    assert lines[1] > 4 * lines[0] > 0


def _dense() -> tuple[FaceEmotion, ...]:
    """Four rows of nine faces that nearly touch, and a crowd of faces as small as their numbers."""
    rows = _crowd(1, range(30, 650, 70), range(40, 400, 92), (56, 68))
    crowd = [(x, y, x + 14.0, y + 17.0) for x in range(690, 790, 20) for y in range(60, 160, 26)]
    return tuple(_face(box) for box in [*rows, *crowd])


def test_in_dense_rows_each_label_is_nearest_to_its_own_box(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    placed: list[tuple[tuple[float, ...], tuple[float, ...]]] = []
    inner = annotation._draw_label

    def spy(*args: Any) -> Any:
        room = inner(*args)
        placed.extend([(room, args[1].box)] if room else [])
        return room

    monkeypatch.setattr(annotation, "_draw_label", spy)
    faces = _dense()
    _draw(*faces, width=820, height=430)
    assert len(placed) > 36
    for room, own in placed:
        for face in faces:
            x1, y1, x2, y2 = face.box_xyxy
            across = max(x1 - room[2], room[0] - x2, 0.0)
            down = max(y1 - room[3], room[1] - y2, 0.0)
            distance = max(across, down)
            if face.box_xyxy == own:
                assert distance == 0
            elif not (own[0] <= room[0] and room[2] <= own[2] and room[1] >= own[1]):
                assert distance >= 0.4 * (room[3] - room[1])


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Collects what was written, and the size of its letters."""
    found: list[tuple[str, int]] = []
    inner = annotation._write

    def spy(pen: Any, words: str, room: Any, color: Any, letters: int) -> None:
        found.append((words, letters))
        inner(pen, words, room, color, letters)

    monkeypatch.setattr(annotation, "_write", spy)
    return found


def test_boxes_without_a_label_are_counted(written: list[tuple[str, int]]) -> None:
    faces = _dense()
    _draw(*faces, width=820, height=430)
    *labels, (legend, _) = written
    assert legend == f"{len(faces) - len(labels)} faces without a label"
    numbers = [int(words.split()[0].rstrip("?")) for words, _ in labels]
    assert len(set(numbers)) == len(numbers) > 36


@pytest.mark.parametrize("seen_side", [1280, 720, 390])
def test_letters_have_eleven_pixels_where_the_picture_is_seen(
    seen_side: int, written: list[tuple[str, int]]
) -> None:
    faces = _face((2000, 100, 2040, 150)), _face((1000, 600, 1800, 1500))
    result = ImageResult("x", 3000, 2000, faces, "m", "d", {})
    draw_faces(np.zeros((2000, 3000, 3), np.uint8), result, seen_side=seen_side)
    assert len(written) == 2
    assert all(letters * seen_side / 3000 >= 11 for _, letters in written)


def test_uncertain_answer_has_its_question_mark(written: list[tuple[str, int]]) -> None:
    probs = {label: 0.8 if label == "fear" else 0.2 / 7 for label in FERPLUS8.labels}
    given = list(probs), list(probs.values())
    box = (100, 60, 180, 150)
    sure, unsure = (
        FaceEmotion.from_probs(*given, box_xyxy=box, detection_score=1, prediction_set=plausible)
        for plausible in (["fear"], ["fear", "anger"])
    )
    _draw(sure)
    _draw(unsure)
    assert [words for words, _ in written] == ["fear 80%", "fear? 80%"]
    result = ImageResult("x", 300, 200, (unsure,), "m", "d", {})
    draw_faces(np.zeros((200, 300, 3), np.uint8), result, label="anger")
    assert written[-1][0] == "anger 3%", "no answer, so no doubt about it"


@pytest.mark.parametrize("top", FERPLUS8.labels)
@pytest.mark.parametrize("side", [12, 80])
def test_boxes_of_every_colour_are_visible_on_every_gray(top: str, side: int) -> None:
    for level in range(0, 256, 30):
        row = _draw(_face((100, 60, 100 + side, 60 + side), top), fill=level)[60 + side // 2]
        ratios = [(_luminance(pixel) + 0.05) / (_luminance([level] * 3) + 0.05) for pixel in row]
        # WCAG 2 wants 3 of graphics; of the middling colours the hue helps, of gray it does not.
        least = 3.0 if top == "neutral" else 2.4
        assert max(max(ratio, 1 / ratio) for ratio in ratios) >= least


def test_labels_of_a_clip_stay_where_they_are(written: list[tuple[str, int]]) -> None:
    places: dict[int, Any] = {}
    other = _face((150, 30, 220, 58), track_id=2)

    def frame(y: float, *more: FaceEmotion) -> tuple[int, ...]:
        faces = (_face((100, y, 180, y + 90), track_id=1), *more)
        result = ImageResult("x", 300, 200, faces, "m", "d", {})
        draw_faces(np.zeros((200, 300, 3), np.uint8), result, places=places)
        return tuple(places[1])

    above = frame(60)
    below = frame(60, other)
    assert above != below
    assert frame(60) == below, "there is room above again, but a label does not jump for that"
    assert frame(100) != below, "below it would leave the picture"


def test_track_number_is_part_of_the_label(rooms: list[tuple[float, ...]]) -> None:
    _draw(_face())
    _draw(_face(track_id=7))
    assert rooms[1][2] - rooms[1][0] > rooms[0][2] - rooms[0][0]


def test_colours_follow_the_meaning_whatever_the_schema() -> None:
    for emotion in FER7.labels:
        assert color_of(_face(top=emotion, labels=FER7.labels)) == color_of(_face(top=emotion))
    happy = _face(top="happy", labels=HES3.labels)
    assert color_of(happy) == color_of(_face(top="happiness"))


def test_colours_of_own_classes_differ() -> None:
    labels = ("bored", "happy", "confused", "asleep")
    assert len({color_of(_face(top=label, labels=labels)) for label in labels}) == 4
    many = tuple(f"c{index}" for index in range(20))
    assert color_of(_face(top="c19", labels=many)) in PALETTE


def test_letters_contrast_with_every_colour() -> None:
    assert len(set(PALETTE)) == len(PALETTE) == len(FERPLUS8)
    for color in PALETTE:
        low, high = sorted((_luminance(color), _luminance(contrasting(color))))
        assert (high + 0.05) / (low + 0.05) >= 4.5, "WCAG 2, level AA"


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((10, 10, 3), np.uint8),
        np.zeros((200, 300), np.uint8),
        np.zeros((200, 300, 3), np.float32),
        np.zeros((300, 200, 3), np.uint8),
        "a.jpg",
    ],
)
def test_another_picture_is_refused(image: object) -> None:
    result = ImageResult("x", 300, 200, (_face(),), "m", "d", {})
    with pytest.raises(InputError, match=r"belongs to a uint8 .* got"):
        result.draw(image)  # type: ignore[arg-type]
