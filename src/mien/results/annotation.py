"""Boxes and labels on a picture: where each label stands, so that its owner is clear."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mien.images.pixels import check_rgb
from mien.results.drawing import color_of, contrasting
from mien.results.wording import percent

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping, Sequence

    from mien.arrays import F64, U8
    from mien.results.drawing import Color
    from mien.results.records import FaceEmotion, ImageResult

    Box = tuple[float, float, float, float]
    #: Where the label of a face in a clip stood last: its letters' size, and numbers of its
    #: wording and place.
    Places = MutableMapping[int, list[int]]

#: Longest side at which a picture is taken to be seen: larger ones are scaled down to a screen.
SEEN_SIDE = 1280
#: Smallest letters there, in pixels; pictures of less than ``_TINY`` are seen enlarged.
_MIN_LETTERS, _TINY, _TINY_LETTERS = 11, 120, 9
#: Distance of a label to other boxes, as a share of its height, and to other labels, in pixels.
_OWNER_GAP, _LABEL_GAP = 0.4, 2
#: Share of a face's height that a label inside may cover: with its word, and with its number only.
_MAX_INSIDE, _MAX_NUMBER = 1 / 3, 1 / 2
#: Letters of a face in a clip keep their size until it should change by more than this share.
_STEADY = 0.25


@dataclass(frozen=True)
class _Subject:
    """A face to annotate: its box inside the picture, what its label may say, and its colour."""

    box: Box
    texts: tuple[str, ...]
    color: Color
    track_id: int | None

    @property
    def area(self) -> float:
        x1, y1, x2, y2 = self.box
        return (x2 - x1) * (y2 - y1)


def draw_faces(
    image_rgb: U8,
    result: ImageResult,
    *,
    label: str | None = None,
    seen_side: int = SEEN_SIDE,
    places: Places | None = None,
) -> U8:
    """Draws boxes and labels onto a copy of a picture (H, W, 3), upright, as the detector saw it.

    Letters have 11 pixels at least at the size at which the picture is seen. Of several faces each
    label begins with the face's number; a question mark stands after what is uncertain. A label
    touches its own box and keeps off the others, so that its owner is clear: above or below the
    box, else inside at the top. Where that leaves no room, it loses its percentage, then its word,
    and what finds no room at all is counted in a corner; the largest faces choose first.

    Args:
        image_rgb: uint8 (H, W, 3).
        result: Its faces.
        label: Label whose probability is written; None: each face's own emotion.
        seen_side: Longest side at which a larger picture is seen, in pixels of the screen.
        places: Of a clip, where the labels stood in the frame before; it is kept up to date, and
            labels stay where they are as long as there is room.
    """
    shape = (result.height, result.width, 3)
    check_rgb(image_rgb, "the result belongs to", shape=shape)
    picture = Image.fromarray(image_rgb)
    pen = ImageDraw.Draw(picture)
    places = {} if places is None else places
    subjects = sorted(
        _subjects(result, picture.size, label),
        # Those that have a place keep it; then the largest.
        key=lambda one: (one.track_id not in places, -one.area),
    )
    for subject in reversed(subjects):
        _draw_box(pen, subject, min(picture.size))
    boxes = np.array([one.box for one in subjects]).reshape(-1, 4)
    rooms: list[Box] = []
    without = 0
    for index, subject in enumerate(subjects):
        others = np.delete(boxes, index, axis=0)
        letters = _letters(subject.box, picture.size, seen_side)
        room = _draw_label(pen, subject, others, rooms, picture.size, letters, places)
        rooms += [room] if room else []
        without += room is None
    if without:
        letters = _letters((0.0, 0.0, 0.0, 0.0), picture.size, seen_side)
        _draw_legend(pen, without, boxes, rooms, picture.size, letters)
    return np.array(picture)


def _subjects(result: ImageResult, size: tuple[int, int], label: str | None) -> Iterator[_Subject]:
    """Yields the faces that reach into the picture."""
    for number, face in enumerate(result.faces, 1):
        box = _clip(face.box_xyxy, size)
        if box is None:
            continue
        name = f"{number} " if len(result.faces) > 1 else ""
        name = name if face.track_id is None else f"#{face.track_id} "
        yield _Subject(box, _texts(face, name, label), color_of(face, label), face.track_id)


def _texts(face: FaceEmotion, name: str, label: str | None) -> tuple[str, ...]:
    """Returns what a face's label may say, the longest first."""
    emotion = label or face.emotion
    mark = "?" * (face.uncertain and emotion == face.emotion)
    word = f"{name}{emotion}{mark}"
    short = f"{name.strip() or f'{emotion[:4]}.'}{mark}"
    return (f"{word} {percent(face.probs[emotion])}", word, short)


def _clip(box: Box, size: tuple[int, int]) -> Box | None:
    """Returns the part of a box inside the picture, or None where there is none."""
    x1, y1 = max(box[0], 0.0), max(box[1], 0.0)
    x2, y2 = min(box[2], size[0] - 1.0), min(box[3], size[1] - 1.0)
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def _draw_box(pen: ImageDraw.ImageDraw, subject: _Subject, picture_side: int) -> None:
    """Draws a line, and on both sides of it an edge of the opposite lightness.

    So it is visible on any ground, also gray on gray.
    """
    x1, y1, x2, y2 = subject.box
    line = max(1, round(min(picture_side / 200, (x2 - x1) / 12)))
    edge = max(1, line // 3)
    outer = (x1 - edge, y1 - edge, x2 + edge, y2 + edge)
    pen.rectangle(outer, outline=contrasting(subject.color), width=line + 2 * edge)
    pen.rectangle(subject.box, outline=subject.color, width=line)


@lru_cache(maxsize=64)
def _font(letters: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=letters)


def _letters(box: Box, size: tuple[int, int], seen_side: int) -> int:
    """Returns the size of a label's letters in pixels of the picture."""
    scale = max(max(size) / seen_side, 1.0)
    smallest = _MIN_LETTERS * scale if max(size) >= _TINY else _TINY_LETTERS
    return int(np.ceil(np.clip((box[2] - box[0]) / 6, smallest, max(min(size) / 25, smallest))))


@lru_cache(maxsize=4096)
def _extent(text: str, letters: int) -> tuple[float, float, int, float]:
    """Returns width and height of a label, the room around its text, and the top of its letters."""
    font, pad = _font(letters), max(1, letters // 5)
    _, top, _, bottom = font.getbbox("Ag")
    return font.getlength(text) + 2 * pad, bottom - top + 2 * pad, pad, top


def _draw_label(
    pen: ImageDraw.ImageDraw,
    subject: _Subject,
    boxes: F64,
    rooms: Sequence[Box],
    size: tuple[int, int],
    letters: int,
    places: Places,
) -> Box | None:
    """Draws a face's label where there is room among other boxes and labels; returns that room."""
    kept = None if subject.track_id is None else places.get(subject.track_id)
    if kept and abs(letters - kept[0]) <= _STEADY * kept[0]:
        letters = kept[0]
    options = [(text, place) for text in range(len(subject.texts)) for place in range(5)]
    if kept:
        options.insert(0, (kept[1], kept[2]))
    for text, place in options:
        words = subject.texts[text]
        share = _MAX_INSIDE if text < 2 else _MAX_NUMBER
        room = _room(subject.box, _extent(words, letters)[:2], place, size, share)
        if room and _is_free(room, boxes, rooms, inside=room[2] <= subject.box[2] and place == 4):
            _write(pen, words, room, subject.color, letters)
            if subject.track_id is not None:
                places[subject.track_id] = [letters, text, place]
            return room
    return None


def _room(
    box: Box, extent: tuple[float, float], place: int, size: tuple[int, int], max_covered: float
) -> Box | None:
    """Returns the rectangle at a place of a box, or None where it does not fit.

    Places are above at the left and right, below at the left and right, and inside at the top,
    where no more than a share of the face's height may be covered.
    """
    width, height = extent
    x1, y1, x2, y2 = box
    if place == 4 and height > max_covered * (y2 - y1):
        return None
    x = x2 - width if place in {1, 3} else max(min(x1, size[0] - 1 - width), 0.0)
    y = (y1 - height, y1 - height, y2, y2, y1)[place]
    if x < 0 or y < 0 or x + width > size[0] - 1 or y + height > size[1] - 1:
        return None
    return (x, y, x + width, y + height)


def _is_free(room: Box, boxes: F64, rooms: Sequence[Box], *, inside: bool) -> bool:
    """Tells whether a label keeps off other boxes, so far that its owner is clear, and labels."""
    gap = 0.0 if inside else _OWNER_GAP * (room[3] - room[1])
    return not (_meets(room, boxes, gap) or _meets(room, np.reshape(rooms, (-1, 4)), _LABEL_GAP))


def _meets(room: Box, others: F64, gap: float) -> bool:
    x1, y1, x2, y2 = others.T
    across = (x1 < room[2] + gap) & (x2 > room[0] - gap)
    return bool((across & (y1 < room[3] + gap) & (y2 > room[1] - gap)).any())


def _write(pen: ImageDraw.ImageDraw, words: str, room: Box, color: Color, letters: int) -> None:
    _, _, pad, top = _extent(words, letters)
    corner = (room[0] + pad, room[1] + pad - top)
    pen.rectangle(room, fill=color)
    pen.text(corner, words, fill=contrasting(color), font=_font(letters))


def _draw_legend(
    pen: ImageDraw.ImageDraw,
    count: int,
    boxes: F64,
    rooms: Sequence[Box],
    size: tuple[int, int],
    letters: int,
) -> None:
    """Says in a corner how many faces have no label; over faces only where no corner is free."""
    words = f"{count} {'face' if count == 1 else 'faces'} without a label"
    width, height, *_ = _extent(words, letters)
    right, bottom = max(size[0] - 1 - width, 0.0), max(size[1] - 1 - height, 0.0)
    corners = [
        (x, y, x + width, y + height) for y in (bottom, 0.0) for x in (0.0, right)
    ]  # fmt: skip
    free = [corner for corner in corners if _is_free(corner, boxes, rooms, inside=True)]
    _write(pen, words, (free or corners)[0], (255, 255, 255), letters)
