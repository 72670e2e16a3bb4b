from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from mien.errors import DataError
from mien.faces import Detections, Framing
from mien.train.finder.agreement import RULES, label_picture, merge_looks
from mien.train.finder.boxes import covered_by, iou_matrix
from mien.train.finder.corrections import correct
from mien.train.finder.labelling import label_shard, plan
from mien.train.finder.labels import (
    FACE,
    IGNORE,
    Labels,
    held_out,
    load_labels,
    save_labels,
)
from mien.train.finder.scoring import alarms_at, match, recall_at, threshold_for


class Seer:
    """Sees given boxes, in shares of the picture, wherever the picture was stretched to."""

    name, framing = "seer", Framing()

    def __init__(self, boxes: list[list[float]], scores: list[float], *, points: bool) -> None:
        self.boxes, self.scores, self.points = np.array(boxes), scores, points

    def detect(
        self, image_rgb: np.ndarray, *, min_face: float = 0, max_faces: int | None = None
    ) -> Detections:
        height, width = image_rgb.shape[:2]
        boxes = self.boxes.reshape(-1, 4).copy()
        if image_rgb[0, 0, 0] > image_rgb[0, -1, 0]:  # mirrored: the dark side is on the right
            boxes = boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [1, 0, 1, 0]
        boxes = boxes * [width, height, width, height]
        points = np.repeat(boxes[:, None, :2], 5, axis=1) if self.points else None
        return Detections(boxes, self.scores, points)


def _picture() -> np.ndarray:
    ramp = np.linspace(0, 255, 200).astype(np.uint8)
    return np.repeat(np.repeat(ramp[None, :, None], 100, axis=0), 3, axis=2)


def test_agreement_makes_faces_and_the_rest_is_left_out() -> None:
    both, first, second = [0.1, 0.1, 0.3, 0.5], [0.5, 0.1, 0.7, 0.5], [0.75, 0.5, 0.95, 0.9]
    yunet = Seer([both, first], [0.95, 0.9], points=True)
    ultraface = Seer([both, second], [0.9, 0.9], points=False)
    boxes, points, scores, kind = label_picture(_picture(), yunet, ultraface, RULES["people"])
    assert np.allclose(boxes, np.array([both, first, second]) * [200, 100, 200, 100], atol=0.5)
    assert kind.tolist() == [FACE, IGNORE, IGNORE]
    assert np.allclose(scores, [[0.95, 0.9], [0.9, 0], [0, 0.9]])
    assert np.isfinite(points[:2]).all()
    assert np.isnan(points[2]).all()


def test_on_animals_one_teacher_alone_is_background() -> None:
    boxes = [[0.1, 0.1, 0.3, 0.5]]
    nothing = Seer([], [], points=False)
    alone = Seer(boxes, [0.91], points=True)
    assert len(label_picture(_picture(), alone, nothing, RULES["animals"])[0]) == 0
    assert len(label_picture(_picture(), alone, nothing, RULES["people"])[0]) == 1


def test_looks_are_averaged_by_score() -> None:
    boxes = np.float32([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]])
    merged, scores, _ = merge_looks(boxes, np.float32([0.9, 0.3, 0.5]), np.zeros((3, 5, 2), "f"))
    assert merged[0].tolist() == pytest.approx([0.25, 0, 10.25, 10])
    assert scores.tolist() == pytest.approx([0.9, 0.5])


def _labels(names: tuple[str, ...] = ("a.jpg", "b.jpg")) -> Labels:
    return Labels(
        names, np.array([0, 0, 1]), np.float32([[0, 0, 9, 9], [20, 20, 40, 40], [1, 1, 5, 5]]),
        np.zeros((3, 5, 2), np.float32), np.ones((3, 2), np.float32), np.int8([1, 0, 1]),
    )  # fmt: skip


def test_shards_join_in_order(tmp_path: Path) -> None:
    save_labels(tmp_path / "people-00002.npz", _labels(("c.jpg", "d.jpg")))
    save_labels(tmp_path / "people-00000.npz", _labels())
    labels = load_labels(tmp_path, "people")
    assert labels.names == ("a.jpg", "b.jpg", "c.jpg", "d.jpg")
    assert labels.picture.tolist() == [0, 0, 1, 2, 2, 3]
    assert labels.of(2).tolist() == [3, 4]
    with pytest.raises(DataError, match="mien finder label"):
        load_labels(tmp_path, "animals")


def test_corrections_change_the_region_under_a_point(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text("scenes,name,x,y,kind\npeople,a.jpg,5,5,background\npeople,a.jpg,30,30,face\n")
    labels, decoys = correct(_labels(), path, "people")
    assert labels.kind.tolist() == [1, 1]
    assert labels.boxes[:, 0].tolist() == [20, 1]
    assert decoys.boxes.tolist() == [_labels().boxes[0].tolist()]
    assert [decoys.names[i] for i in decoys.picture] == ["a.jpg"]
    assert len(correct(_labels(), path, "animals")[0].kind) == 3
    path.write_text("scenes,name,x,y,kind\npeople,a.jpg,99,99,face\n")
    with pytest.raises(DataError, match="no labelled region"):
        correct(_labels(), path, "people")


def test_labels_of_a_shard_name_their_picture() -> None:
    import io

    from PIL import Image

    data = []
    for _ in range(2):
        buffer = io.BytesIO()
        Image.fromarray(_picture()).save(buffer, "PNG")
        data.append(buffer.getvalue())
    look = _labels()
    found = label_shard(
        ("a", "b"), data, lambda _: (look.boxes, look.points, look.scores, look.kind)
    )
    assert found.picture.tolist() == [0, 0, 0, 1, 1, 1]


def test_finished_shards_are_not_planned_again(shared: Path, tmp_path: Path) -> None:
    jobs = plan(shared / "data/scenes", None, tmp_path, 0)
    assert len(jobs) == 36
    jobs[0].target.touch()
    assert jobs[0] not in plan(shared / "data/scenes", None, tmp_path, 0)


def test_held_out_is_a_tenth() -> None:
    share = np.mean([held_out(f"{number:012x}.jpg") for number in range(5000)])
    assert share == pytest.approx(0.1, abs=0.02)


def test_box_arithmetic_by_hand() -> None:
    a, b = np.array([[0.0, 0, 4, 4]]), np.array([[2.0, 2, 6, 6], [0, 0, 8, 8]])
    assert np.allclose(iou_matrix(a, b), [[4 / 28, 16 / 64]])
    assert np.allclose(covered_by(a, b), [[0.25, 1]])
    assert iou_matrix(np.zeros((0, 4)), b).shape == (0, 2)


def test_match_counts_hits_and_alarms() -> None:
    labels = np.array([[0.0, 0, 10, 10], [20, 20, 30, 30], [50, 50, 60, 60]])
    counted = np.array([True, True, False])
    found = Detections(
        [[0, 0, 10, 9], [1, 0, 11, 10], [52, 50, 60, 60], [80, 80, 90, 90]], [0.9, 0.8, 0.7, 0.6]
    )
    one = match(found, labels, counted)
    assert one.hit.tolist() == pytest.approx([0.9, 0])
    # The second box on a face that is taken, and the box on nothing; the unsure one is excused.
    assert one.alarms.tolist() == pytest.approx([0.8, 0.6])
    assert recall_at([one], 0.5) == 0.5
    assert alarms_at([one], 0.7) == 1
    assert threshold_for([one], 1.0) == pytest.approx(0.6, abs=1e-5)
