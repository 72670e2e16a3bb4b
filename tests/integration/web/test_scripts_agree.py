"""The page's scripts, run by Node, against the Python functions that they repeat."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.detectors.boxes import nms
from mien.detectors.cells import STRIDES, decode_cells
from mien.detectors.crops import CropNetwork
from mien.detectors.framing import Framing, crop_box
from mien.detectors.landmarks import LandmarkLocalizer
from mien.detectors.mien import MienDetector
from mien.detectors.refiner import FaceRefiner
from mien.detectors.scales import ScaleRules, plan_scales, tiles
from mien.detectors.search import Candidates
from mien.hub import ModelConfig, read_model_folder
from mien.images import decode
from mien.labels import HES3
from mien.metrics import softmax
from mien.preprocess import INTERPOLATIONS, Preprocessing, crop_faces, normalize
from mien.priors import ClassPrior
from mien.results import ImageResult
from mien.results.wording import percent
from mien.web.build import SOURCES
from mien.web.settings import page_settings
from support.web_scripts import _raster


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    part: dict[str, Any] = page_settings(read_model_folder())["detector"]
    return part


def _pixels(raster: dict[str, Any]) -> np.ndarray:
    shape = (raster["height"], raster["width"], raster["channels"])
    pixels = np.array(raster["data"], np.uint8).reshape(shape)
    return pixels[..., 0] if raster["channels"] == 1 else pixels


def _noise(height: int, width: int, channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(height * 1000 + width)
    # Only black, white and some between: overshoots of the sharper filters are cut at both ends.
    pixels = rng.choice(np.array([0, 9, 128, 250, 255], np.uint8), (height, width, channels))
    return pixels[..., 0] if channels == 1 else pixels


SIZES = [((31, 47), (12, 20)), ((31, 47), (48, 48)), ((9, 7), (64, 33)), ((40, 40), (40, 17))]


@pytest.mark.parametrize("filter_name", sorted(INTERPOLATIONS))
def test_resize_is_pillows_to_the_bit(call: Any, filter_name: str) -> None:
    cases = []
    for (height, width), (new_height, new_width) in SIZES:
        for channels in (1, 3):
            pixels = _noise(height, width, channels)
            whole = (0, 0, width, height)
            part = (1.3, 0.75, width - 2.6, height - 1.1)
            cases += [(pixels, (new_width, new_height), box) for box in (whole, part)]
    answers = call(
        *(["resize", _raster(p), *size, filter_name, list(box)] for p, size, box in cases)
    )
    for (pixels, size, box), answer in zip(cases, answers, strict=True):
        expected = Image.fromarray(pixels).resize(size, INTERPOLATIONS[filter_name], box=box)
        np.testing.assert_array_equal(_pixels(answer), np.asarray(expected))


@pytest.mark.parametrize("gap", [2.0, 1.0])
def test_resize_with_gap_averages_blocks_as_pillow_does(call: Any, gap: float) -> None:
    # With a gap of 2 factors 3 and 2, 5 and 1, none; sides that the blocks do not divide.
    cases = [((101, 83), (13, 24)), ((30, 203), (20, 25)), ((60, 64), (40, 30))]
    answers = call(
        *(["resizeWithGap", _raster(_noise(*old)), *new, "bilinear", gap] for old, new in cases)
    )
    for (old, new), answer in zip(cases, answers, strict=True):
        image = Image.fromarray(_noise(*old))
        expected = image.resize(new, Image.Resampling.BILINEAR, reducing_gap=gap)
        np.testing.assert_array_equal(_pixels(answer), np.asarray(expected))


PREPARED = [
    Preprocessing(size=48),
    Preprocessing(size=32, color="rgb", interpolation="bicubic", normalization="fixed",
                  mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)),
    Preprocessing(size=64, color="rgb", interpolation="lanczos"),
]  # fmt: skip


@pytest.mark.parametrize("preprocessing", PREPARED, ids=lambda p: f"{p.color}-{p.size}")
def test_crops_are_those_of_the_library(call: Any, preprocessing: Preprocessing) -> None:
    image_rgb = _noise(70, 90)
    boxes: list[list[float]] = [
        [10.4, 12.8, 50.1, 52.5],
        [-20.5, -7.25, 40, 53.25],
        [60, 30.5, 130.2, 100.7],
        [-30, -40, 120, 110],
        [20, 20, 29, 29],
    ]
    given = {**asdict(preprocessing), "align": "none"}
    raster = _raster(image_rgb)
    crops = call(*(["cropFace", raster, box, given] for box in boxes))
    expected = crop_faces(image_rgb, boxes, preprocessing)
    for crop, face in zip(crops, expected, strict=True):
        np.testing.assert_array_equal(_pixels(crop), face.squeeze())
    [batch] = call(["normalize", crops, given])
    np.testing.assert_allclose(
        np.reshape(batch, (len(boxes), preprocessing.channels, *face.shape[:2])),
        normalize(expected, preprocessing),
        atol=2e-5,
    )


def test_cells_are_decoded_alike(call: Any, settings: dict[str, Any]) -> None:
    width, height = 96, 64
    rng = np.random.default_rng(5)
    cells = rng.normal(0, 1.5, (8 * 12 + 4 * 6 + 2 * 3, 15)).astype(np.float32)
    cells[7, 3:5] = 9  # a size beyond the limit
    [found] = call(["decodeCells", cells.ravel().tolist(), width, height, -0.4, settings])
    boxes, logits, points = decode_cells(cells, width, height, -0.4)
    assert len(found) == len(boxes) > 20
    np.testing.assert_allclose([one["box"] for one in found], boxes, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose([one["score"] for one in found], logits, rtol=1e-6)
    np.testing.assert_allclose([one["points"] for one in found], points, rtol=1e-5, atol=1e-3)


def test_scales_and_tiles_agree(call: Any) -> None:
    rules = ScaleRules()
    sizes = [(640, 480), (4000, 3000), (48, 48), (1, 20_000), (1281, 1), (447, 300), (2000, 1500)]
    given = asdict(rules)
    for size, found in zip(
        sizes, call(*(["planScales", *size, given] for size in sizes)), strict=True
    ):
        expected = [
            {"width": s.width, "height": s.height, "least": s.min_face,
             "most": None if math.isinf(s.max_face) else s.max_face}
            for s in plan_scales(*size, rules)
        ]  # fmt: skip
        assert found == expected
    lengths = [1, 1280, 1281, 2000, 20_000, 3333]
    for length, found in zip(
        lengths, call(*(["tiles", length, given] for length in lengths)), strict=True
    ):
        assert found == [list(part) for part in tiles(length, rules)]


def test_suppression_agrees(call: Any) -> None:
    rng = np.random.default_rng(6)
    centres = rng.integers(0, 4, (60, 2)) * 30 + rng.normal(0, 3, (60, 2))
    half = rng.uniform(8, 14, (60, 2))
    boxes = np.concatenate([centres - half, centres + half], axis=1).astype(np.float32)
    scores = np.sort(rng.uniform(0.3, 1, 60).astype(np.float32))[::-1]
    candidates = [
        {"box": box, "score": score, "points": []}
        for box, score in zip(boxes.tolist(), scores.tolist(), strict=True)
    ]
    kept = nms(boxes, scores, iou_threshold=0.3)
    assert 5 < len(kept) < 40
    [found, strict] = call(["suppress", candidates, 0.3], ["suppress", candidates, 0.3, 0.4])
    np.testing.assert_array_equal([one["box"] for one in found], boxes[kept])
    kept = nms(boxes, scores, iou_threshold=0.3, inside=0.4)
    np.testing.assert_array_equal([one["box"] for one in strict], boxes[kept])
    assert len(strict) < len(found)


class _Cells:
    """Stands in for the first network: the same few cells, whatever it sees."""

    def __init__(self, numbers: list[list[float]]) -> None:
        self.numbers = np.array(numbers, np.float32)

    def __call__(self, pixels: np.ndarray, min_score: float) -> Candidates:
        height, width = (-(-side // 32) * 32 for side in pixels.shape[:2])
        count = sum((height // stride) * (width // stride) for stride in STRIDES)
        cells = np.full((count, 15), -9, np.float32)
        cells[5 : 5 + 20 * len(self.numbers) : 20] = self.numbers
        return Candidates(*decode_cells(cells, width, height, min_score))


def _answering(values: list[float], size: int) -> Any:
    """A session that gives the mean brightness of each crop's left half, next to fixed numbers."""

    def run(names: Any, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        numbers = np.tile(np.array(values, np.float32), (len(feed["crops"]), 1))
        left = feed["crops"][..., : size // 2].astype(np.float64).mean(axis=(1, 2, 3)) / 1000
        return [(numbers + left[:, None] * (len(values) == 10)).astype(np.float32)]

    return SimpleNamespace(
        path="", inputs=[SimpleNamespace(name="crops", shape=["n", 3, size, size])],
        outputs=[SimpleNamespace(shape=["n", len(values)])], run=run,
    )  # fmt: skip


def test_all_stages_agree_with_the_library(call: Any, settings: dict[str, Any]) -> None:
    """With stand-ins for the networks; with the networks themselves the page's own test does."""
    rng = np.random.default_rng(2)
    numbers = rng.normal(0, 0.5, (4, 15)).round(3)
    numbers[:, 0] = [3, 2, 1, -0.5]
    numbers[:, 3:5] = 1.6
    answer = [1.0, -0.3, -0.35, 0.32, 0.36, *rng.normal(0, 0.2, 10).round(3)]
    detector = MienDetector(threads=1)
    detector._search = replace(detector._search, network=_Cells(numbers.tolist()))
    examiner = CropNetwork(_answering(answer, 40), 1.5, 40, numbers=15)
    detector._refiner = FaceRefiner(examiner, weight=0.4)
    marks = rng.normal(0, 0.2, 10).round(3).tolist()
    marker = CropNetwork(_answering(marks, 48), 1.3, 48, numbers=10)
    detector._landmarks = LandmarkLocalizer(marker, weight=0.7)
    detector.min_score = 0.05
    config = {
        **detector.config.to_dict(), "min_score": 0.05, "context": 1.5, "crop_size": 40,
        "refined": 0.4, "mark_context": 1.3, "mark_size": 48, "marked": 0.7,
    }  # fmt: skip
    images_rgb = [_noise(*size) for size in ((96, 160), (500, 300), (900, 200))]
    given = config, settings, numbers.tolist(), answer, marks
    answers = call(*(["find", _raster(image_rgb), *given] for image_rgb in images_rgb))
    for image_rgb, faces in zip(images_rgb, answers, strict=True):
        found = detector.detect(image_rgb)
        assert len(faces) == len(found) > 0
        faces.sort(key=lambda face: face["box"])  # several are equally large here
        assert found.landmarks is not None
        order = np.lexsort(found.boxes_xyxy.T[::-1])
        for name, values in (
            ("box", found.boxes_xyxy), ("score", found.scores), ("points", found.landmarks)
        ):  # fmt: skip
            here = [face[name] for face in faces]
            np.testing.assert_allclose(here, values[order], atol=1e-2)


@pytest.mark.parametrize("side", ["sqrt", "max"])
def test_squares_and_probabilities_agree(call: Any, side: Any) -> None:
    framing = Framing(scale=1.1, shift_x=-0.01, shift_y=0.2, side=side)
    box, logits = [10.0, 20.0, 50.0, 90.0], [3.0, -2.0, 0.5, 88.0]
    square, probs = call(["cropBox", box, asdict(framing), 1.2], ["softmax", logits, 0.75])
    np.testing.assert_allclose(square, crop_box(box, framing, 1.2))
    expected = softmax(np.array([logits]), temperature=0.75)[0]
    np.testing.assert_allclose(probs, expected, atol=1e-12)


@pytest.mark.parametrize("gap", [2.0, 1.0])
def test_photo_is_scaled_as_the_detector_scales_it(call: Any, gap: float) -> None:
    image_rgb = decode(SOURCES.parents[1] / "assets" / "sample" / "astronaut.jpg")
    [answer] = call(["resizeWithGap", _raster(image_rgb), 128, 128, "bilinear", gap])
    expected = Image.fromarray(image_rgb).resize(
        (128, 128), Image.Resampling.BILINEAR, reducing_gap=gap
    )
    np.testing.assert_array_equal(_pixels(answer), np.asarray(expected))


def test_probabilities_are_written_alike(call: Any) -> None:
    shares = [0.0, 0.004, 0.0099, 0.01, 0.5, 0.934, 0.9949, 0.995, 0.9999, 1.0]
    assert call(*(["percent", share] for share in shares)) == [percent(share) for share in shares]


@pytest.mark.parametrize("own", [None, (0.1, 0.2, 0.7)])
def test_a_prior_of_its_own_is_answered_for(call: Any, own: tuple[float, ...] | None) -> None:
    prior = ClassPrior((0.6, 0.3, 0.1), 0.7, own, smoothing=0.2)
    config = ModelConfig("linear", "x", HES3, Preprocessing(size=8), temperature=1.3, prior=prior)
    given, logits = config.to_dict()["mien"], [0.4, 1.9, -0.3]
    names: dict[str, Any] = {"model": "linear.x", "detector": "mien", "timings": {"detect": 1.5}}
    probs, shares, plain = call(
        ["calibrated", logits, given], ["ownPrior", given],
        ["calibrated", logits, {**given, "prior": None}],
    )  # fmt: skip
    expected = config.calibrated(np.array([logits]))[0]
    np.testing.assert_allclose(probs, expected, rtol=1e-12)
    assert (probs == plain) == (own is None)
    assert shares == (None if own is None else dict(zip(HES3.labels, own, strict=True)))
    names |= {"prior": shares} if own else {}
    [result] = call(["toResult", "a.jpg", {"width": 640, "height": 480}, [], names])
    python = ImageResult("a.jpg", 640, 480, (), "linear.x", "mien", {"detect": 1.5}, prior=shares)
    assert result == python.to_dict()
    assert list(result) == list(python.to_dict())
