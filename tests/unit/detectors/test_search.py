"""At which sizes photos are searched, and how the pieces come together again."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.detectors.scales import ScaleRules, plan_scales, search_warnings, tiles
from mien.detectors.search import Candidates, PyramidSearch
from mien.errors import ConfigError

RULES = ScaleRules()
BLANK = Candidates(
    np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32)
)


def find_bright(pixels: np.ndarray, min_score: float) -> Candidates:
    """Stands in for a network: boxes each of the bright squares of an input."""
    from scipy import ndimage

    labels, _ = ndimage.label(pixels[..., 0] > 128)
    boxes = [
        [columns.start, rows.start, columns.stop, rows.stop]
        for rows, columns in ndimage.find_objects(labels)
    ]
    if not boxes:
        return BLANK
    found = np.array(boxes, np.float32)
    points = np.repeat(((found[:, :2] + found[:, 2:]) / 2)[:, None], 5, axis=1)
    whole = (found[:, 2:] - found[:, :2]).prod(axis=1)  # a piece of one is less certain
    return Candidates(found, whole.astype(np.float32), points.astype(np.float32))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((640, 480), [(640, 480), (160, 120)]),
        ((4000, 3000), [(2000, 1500), (500, 375), (125, 94)]),
        ((300, 200), [(448, 299)]),
        ((48, 48), [(96, 96)]),
        ((1, 1), [(2, 2)]),
        ((1, 20_000), [(1, 20_000), (1, 5000), (1, 1250), (1, 312)]),
    ],
)
def test_scales_follow_the_size_of_the_photo(
    size: tuple[int, int], expected: list[tuple[int, int]]
) -> None:
    assert [(s.width, s.height) for s in plan_scales(*size, RULES)] == expected


def test_work_is_bounded_and_full_is_not() -> None:
    for size in ((20_000, 20_000), (100_000, 300), (1500, 2000)):
        pixels = sum(s.width * s.height for s in plan_scales(*size, RULES))
        assert pixels < 1.2 * RULES.max_pixels
    assert plan_scales(9000, 9000, RULES.full())[0].width == 9000
    assert RULES.full().working_side is None
    fast = plan_scales(1920, 1080, RULES.fast())
    assert [(s.width, s.height) for s in fast] == [(533, 300), (133, 75)]


def test_every_face_belongs_to_a_scale_that_sees_it_whole() -> None:
    for size in ((640, 480), (1024, 768), (4000, 3000)):
        scales = plan_scales(*size, RULES)
        for side in np.geomspace(12 * size[0] / scales[0].width, min(size), 60):
            seen = [s.min_face <= side * s.width / size[0] < s.max_face for s in scales]
            assert any(seen), (size, side)


def test_tiles_cover_a_side_and_overlap() -> None:
    for length in (1, 1280, 1281, 2000, 20_000):
        parts = list(tiles(length, RULES))
        assert parts[0][0] == 0
        assert parts[-1][1] == length
        assert max(end - begin for begin, end in parts) <= RULES.tile
        for (_, end), (begin, _) in itertools.pairwise(parts):
            assert end - begin >= RULES.overlap - 1


@pytest.mark.parametrize(
    ("size", "min_face", "said"),
    [
        ((640, 480), 20, None),
        ((4000, 3000), 20, None),
        ((6000, 4000), 20, "0.5 %"),
        ((6000, 4000), 40, None),
        ((12_000, 9000), 20, "0.5 %"),
        ((12_000, 3000), 0, "0.3 %"),
        ((100, 100), 0, None),
    ],
)
def test_warning_is_given_where_small_faces_are_left_out(
    size: tuple[int, int], min_face: float, said: str | None
) -> None:
    warnings = search_warnings(*size, RULES, min_face)
    assert bool(warnings) == (said is not None)
    if said:
        assert f"faces below {said}" in warnings[0]
        assert "'mien:full'" in warnings[0]


def test_faces_on_the_borders_of_tiles_are_found_once() -> None:
    rules = ScaleRules(tile=256, overlap=64, coarse_side=128, max_face=128, min_face=8)
    photo = np.zeros((700, 900, 3), np.uint8)
    corners = [(x, y) for y in range(10, 640, 60) for x in range(10, 840, 60)]
    for x, y in corners:
        photo[y : y + 40, x : x + 40] = 255
    found = PyramidSearch(find_bright, rules, iou=0.3).propose(photo, 0.0)
    sides = found.boxes_xyxy[:, 2:] - found.boxes_xyxy[:, :2]
    whole = found.boxes_xyxy[(np.abs(sides - 40) < 9).all(axis=1)]
    assert len(found.scores) == len(corners)
    for x, y in corners:
        assert np.abs(whole - (x, y, x + 40, y + 40)).max(axis=1).min() < 9


def test_picture_that_is_there_already_is_searched_alike() -> None:
    photo = np.zeros((480, 640, 3), np.uint8)
    photo[100:140, 100:140] = photo[60:460, 200:600] = 255
    photo[:48] = np.tile([[[1]], [[11]], [[21]], [[31]]], (12, 640, 3))
    seen: list[np.ndarray] = []

    def find(pixels: np.ndarray, min_score: float) -> Candidates:
        seen.append(pixels)
        return find_bright(pixels, min_score)

    search = PyramidSearch(find, RULES, coarser_gap=1.0)
    found = search.propose(photo, 0.0)
    again = search.propose(photo, 0.0, Image.fromarray(photo))
    assert len(found.scores) == 2
    assert all(np.array_equal(*pair) for pair in zip(found, again, strict=True))
    assert [pixels.shape for pixels in seen] == [(480, 640, 3), (120, 160, 3)] * 2
    # The coarser scale is of blocks of 4 x 4 pixels.
    assert np.array_equal(seen[1], photo.reshape(120, 4, 160, 4, 3).mean(axis=(1, 3)))


def test_nothing_found_is_no_error() -> None:
    search = PyramidSearch(lambda pixels, min_score: BLANK, RULES)
    assert len(search.propose(np.zeros((2000, 10, 3), np.uint8), 0.0).scores) == 0


@pytest.mark.parametrize(
    "values",
    [
        {"max_pixels": 9}, {"step": 0}, {"step": 0.9}, {"max_zoom": 0.5}, {"overlap": -1},
        {"overlap": 700}, {"coarse_side": 2}, {"max_pixels": math.nan},
    ],
)  # fmt: skip
def test_rules_that_cannot_work_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ScaleRules(**values)
