from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.train.finder.warp import Warp, fill_wedges, make_levels

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from mien.train.finder.canvas import Canvas
from mien.train.finder.compose import compose
from mien.train.finder.labels import FACE, Labels
from mien.train.finder.pasting import Pasting, paste_face
from mien.train.finder.pool import Pool, Source, load_crops

SQUARE = (255, 0, 0)


def _source(rng: np.random.Generator, size: tuple[int, int] = (120, 100)) -> Source:
    """A grey picture with one red square as its "face"."""
    width, height = size
    pixels = np.full((height, width, 3), 90, np.uint8)
    side = int(rng.integers(20, 40))
    x, y = int(rng.integers(5, width - side - 5)), int(rng.integers(5, height - side - 5))
    pixels[y : y + side, x : x + side] = SQUARE
    box = np.array([[x, y, x + side, y + side]], np.float32)
    points = np.array([[[0.3, 0.3], [0.7, 0.3], [0.5, 0.5], [0.35, 0.7], [0.65, 0.7]]], np.float32)
    return Source(
        make_levels(Image.fromarray(pixels)), box, points * side + [x, y], np.ones(1, bool)
    )


def _pool() -> Pool:
    rng = np.random.default_rng(0)
    sets = {name: [_source(rng) for _ in range(4)] for name in ("people", "portraits", "animals")}
    return Pool(sets, [_source(rng, (48, 48)) for _ in range(4)])


def _red_box(picture: np.ndarray) -> list[float]:
    red = (picture[..., 0] > 170) & (picture[..., 1] < 50)
    y, x = np.nonzero(red)
    return [x.min(), y.min(), x.max() + 1, y.max() + 1]


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("scale", [(1.0, 1.0), (2.0, 1.5), (0.4, 0.4)])
def test_box_stays_on_the_square_it_was_drawn_around(
    scale: tuple[float, float], *, mirror: bool
) -> None:
    source = _source(np.random.default_rng(3))
    warp = Warp.around((60, 50), (150, 140), scale=scale, mirror=mirror)
    picture = np.asarray(warp.picture(source.levels, (300, 280), (90, 90, 90)))
    assert np.allclose(_red_box(picture), warp.boxes(source.boxes)[0], atol=1.5)


def test_turned_square_is_framed_as_an_ellipse() -> None:
    warp = Warp.around((0, 0), (0, 0), scale=(1, 1), degrees=90)
    assert np.allclose(warp.boxes(np.array([[0.0, 0, 4, 2]])), [[-2, 0, 0, 4]])
    turned = Warp.around((0, 0), (0, 0), scale=(1, 1), degrees=45)
    half = np.sqrt((2**2 + 1**2) / 2)
    middle = turned.points(np.array([[2.0, 1.0]]))[0]
    expected = [*(middle - half), *(middle + half)]
    assert np.allclose(turned.boxes(np.array([[0.0, 0, 4, 2]]))[0], expected)


def test_mirrored_landmarks_swap_their_names() -> None:
    points = np.array([[[10.0, 5], [20, 5], [15, 9], [11, 12], [19, 12]]])
    warp = Warp.around((0, 0), (100, 0), scale=(1, 1), mirror=True)
    assert warp.mirrors
    assert warp.landmarks(points)[0].tolist() == [[80, 5], [90, 5], [85, 9], [81, 12], [89, 12]]


def test_landmarks_stay_in_order_in_composed_views() -> None:
    pool = _pool()
    for number in range(40):
        view = compose(pool, 160, (0, number))
        for points in view.points[view.is_face]:
            eyes = points[1] - points[0]
            down = points[3:].mean(axis=0) - points[:2].mean(axis=0)
            # Right eye to left eye, then down to the mouth, is a clockwise turn on the screen.
            assert eyes[0] * down[1] - eyes[1] * down[0] > 0


def test_view_depends_on_its_seed_alone() -> None:
    pool = _pool()
    first, again, other = (compose(pool, 128, seed) for seed in ((1, 2), (1, 2), (1, 3)))
    assert np.array_equal(first.image_rgb, again.image_rgb)
    assert np.array_equal(first.boxes, again.boxes)
    assert not np.array_equal(first.image_rgb, other.image_rgb)


def test_views_are_whole_and_boxes_inside() -> None:
    pool = _pool()
    seen = 0
    for number in range(40):
        view = compose(pool, 160, (5, number))
        assert view.image_rgb.shape == (160, 160, 3)
        assert view.image_rgb.dtype == np.uint8
        assert len(view.boxes) == len(view.points) == len(view.is_face)
        assert (view.boxes >= 0).all()
        assert (view.boxes <= 160).all()
        assert ((view.boxes[:, 2:] - view.boxes[:, :2]) > 0).all()
        sides = (view.boxes[:, 2:] - view.boxes[:, :2]).max(axis=1, initial=0)
        assert (sides[view.is_face] > 5).all()
        seen += int(view.is_face.sum())
    assert seen > 20


def test_faces_cut_off_or_tiny_are_left_out_of_the_loss() -> None:
    canvas = Canvas(100, np.random.default_rng(0))
    boxes = np.array([[10.0, 10, 40, 40], [-15, 10, 15, 40], [-29, 10, 1, 40], [50, 50, 56, 56]])
    canvas.add(boxes, np.zeros((4, 5, 2)), np.ones(4, bool), (0, 0, 100, 100))
    assert canvas.is_face.tolist() == [True, False, False]
    assert canvas.boxes[1].tolist() == [0, 10, 15, 40]


def test_pasting_over_a_face_is_refused() -> None:
    canvas = Canvas(100, np.random.default_rng(0))
    canvas.add(
        np.array([[10.0, 10, 40, 40]]), np.zeros((1, 5, 2)), np.ones(1, bool), (0, 0, 100, 100)
    )
    assert not canvas.hide((20.0, 20.0, 60.0, 60.0), most=0.1)
    assert canvas.hide((60.0, 60.0, 90.0, 90.0), most=0.1)
    assert len(canvas.boxes) == 1


def test_black_wedges_take_the_colour_beside_them() -> None:
    picture = np.full((40, 40, 3), 120, np.uint8)
    for row in range(20):
        picture[row, : 20 - row] = 0
    assert (fill_wedges(picture) == 120).all()
    hole = np.full((40, 40, 3), 120, np.uint8)
    hole[15:25, 15:25] = 0
    assert np.array_equal(fill_wedges(hole), hole), "black inside a picture stays"


def test_a_view_without_pastes_shows_no_crop_and_one_with_them_does() -> None:
    pool = _pool()
    seen = {}
    for chance in (0.0, 1.0):
        views = [compose(pool, 160, (9, n), pasting=Pasting(chance, 1.0, 1.0)) for n in range(20)]
        seen[chance] = sum(int(view.is_face.sum()) for view in views)
    assert seen[1.0] > seen[0.0] + 10


def _blue_square() -> Source:
    """A grey picture with a blue square that was taken for a face and is none."""
    pixels = np.full((100, 120, 3), 90, np.uint8)
    pixels[30:60, 40:70] = (0, 0, 255)
    return Source(
        make_levels(Image.fromarray(pixels)), np.zeros((0, 4), np.float32),
        np.zeros((0, 5, 2), np.float32), np.zeros(0, bool),
        np.array([[40, 30, 70, 60]], np.float32),
    )  # fmt: skip


def test_tiles_and_pastes_show_decoys_and_call_them_nothing() -> None:
    pool = Pool({"people": [_blue_square()], "animals": [_source(np.random.default_rng(0))]}, [])
    assert [box.tolist() for _, box in pool.decoys] == [[40, 30, 70, 60]]
    blues = []
    for number in range(20):
        view = compose(pool, 160, (3, number), decoys=1.0, pasting=Pasting(0.0), drawings=0)
        assert not len(view.boxes)
        red, _, blue = view.image_rgb.astype(int).mean(axis=(0, 1))
        blues.append(blue - red > 3)
    assert sum(blues) > 10

    pool = Pool({"portraits": [_source(np.random.default_rng(0))], "people": [_blue_square()]}, [])
    canvas = Canvas(160, np.random.default_rng(0))
    for _ in range(10):
        paste_face(canvas, pool, 160, Pasting(1.0, 1.0, 1.0, decoys=1.0))
    assert not len(canvas.boxes)
    assert np.asarray(canvas.picture).any()
    for _ in range(10):
        paste_face(canvas, pool, 160, Pasting(1.0, 0.0, 1.0, decoys=0.0))
    assert canvas.is_face.any()


def test_crops_that_no_teacher_saw_get_the_median_box(tmp_path: Path) -> None:
    pictures = []
    for value in (10, 20, 30):
        file = io.BytesIO()
        Image.new("L", (48, 48), value).save(file, "PNG")
        pictures.append({"bytes": file.getvalue(), "path": f"{value}.png"})
    path = tmp_path / "train.parquet"
    pq.write_table(pa.table({"image": pictures}), path)
    boxes = np.array([[8, 6, 40, 46], [10, 8, 38, 44]], np.float32)
    seen = Labels(
        ("10.png", "20.png", "30.png"), np.array([0, 2]), boxes, np.zeros((2, 5, 2), np.float32),
        np.ones((2, 2), np.float32), np.full(2, FACE, np.int8),
    )  # fmt: skip
    assert len(load_crops(path, seen)) == 2
    crops = load_crops(path, seen, unseen=True)
    assert [crop.boxes[0].tolist() for crop in crops] == [
        [8, 6, 40, 46],
        [9, 7, 39, 45],
        [10, 8, 38, 44],
    ]
    assert np.isnan(crops[1].points).all()
    assert crops[1].is_face.all()
