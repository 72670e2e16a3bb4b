from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.faces.finder_cells import decode_cells
from mien.train.finder.loss import box_loss, finder_losses, score_loss
from mien.train.finder.targets import (
    Faces,
    assign,
    candidates,
    decode_boxes,
    encode_boxes,
    grid,
    left_out,
    pair_iou,
)


def _faces(*boxes: list[float], is_face: list[bool] | None = None) -> Faces:
    count = len(boxes)
    return Faces(
        torch.zeros(count, dtype=torch.long),
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.full((count, 5, 2), torch.nan),
        torch.tensor([True] * count if is_face is None else is_face, dtype=torch.bool),
    )


def test_decoding_inverts_encoding() -> None:
    generator = torch.Generator().manual_seed(0)
    centres, strides = grid(64, 96)
    corner = torch.rand(len(strides), 2, generator=generator) * 50
    boxes = torch.cat(
        [corner, corner + 1 + torch.rand(len(strides), 2, generator=generator) * 99], 1
    )
    again = decode_boxes(encode_boxes(boxes, centres, strides), centres, strides)
    assert torch.allclose(again, boxes, atol=1e-3)


def test_training_and_runtime_decode_alike() -> None:
    generator = torch.Generator().manual_seed(1)
    centres, strides = grid(64, 96)
    raw = torch.randn(len(strides), 15, generator=generator)
    boxes, scores, _ = decode_cells(raw.numpy(), 96, 64, 0.5)
    expected = decode_boxes(raw[:, 1:5], centres, strides)[raw[:, 0] >= 0]
    order = torch.argsort(raw[:, 0][raw[:, 0] >= 0], descending=True, stable=True)
    assert len(scores) == len(expected)
    assert np.allclose(boxes, expected[order].numpy(), atol=1e-4)


def test_iou_and_box_loss_by_hand() -> None:
    a = torch.tensor([[0.0, 0, 2, 2]])
    b = torch.tensor([[1.0, 0, 3, 2]])
    assert pair_iou(a, b).item() == pytest.approx(2 / 6)
    # Centres are 1 apart; the box around both is 3 by 2.
    assert box_loss(a, b).item() == pytest.approx(1 - 1 / 3 + 1 / 13)
    assert box_loss(a, a).item() == pytest.approx(0, abs=1e-6)


def test_score_loss_by_hand() -> None:
    logits, targets = torch.zeros(1, 2), torch.tensor([[1.0, 0.5]])
    # |1 - 0.5|**2 * ln 2, and nothing where the score is right.
    assert score_loss(logits, targets, torch.ones(1, 2)).item() == pytest.approx(0.25 * np.log(2))
    assert score_loss(logits, targets, torch.tensor([[0.0, 1.0]])).item() == 0


def test_candidates_lie_around_the_face_on_scales_that_suit_it() -> None:
    centres, strides = grid(320, 320)
    small, large = [[100.0, 100, 120, 120]], [[60.0, 60, 260, 260]]
    near = candidates(torch.tensor(small), centres, strides)[0]
    assert set(strides[near].tolist()) == {8.0}
    assert ((centres[near] - 110).abs() < 12).all()
    assert int(near.sum()) == 9
    assert set(strides[candidates(torch.tensor(large), centres, strides)[0]].tolist()) == {32.0}


def test_each_face_is_taken_and_each_cell_takes_one() -> None:
    centres, strides = grid(320, 320)
    faces = _faces([10, 10, 40, 40], [34, 12, 64, 44], [100, 100, 300, 300])
    boxes = decode_boxes(torch.zeros(1, len(strides), 4), centres, strides)
    taken = assign(torch.zeros(1, len(strides)), boxes, faces, centres, strides)
    assert set(taken.face.tolist()) == {0, 1, 2}
    assert len(set(taken.cell.tolist())) == len(taken.cell)


def test_unsure_regions_are_neither_face_nor_background() -> None:
    centres, _ = grid(64, 64)
    faces = _faces([16, 16, 48, 48], is_face=[False])
    out = left_out((1, len(centres)), faces, centres)[0]
    inside = ((centres > 16) & (centres < 48)).all(dim=1)
    assert bool(out[inside].all())
    assert not bool(out[(centres > 56).any(dim=1)].any())
    raw = torch.zeros(1, len(centres), 15)
    raw[0, inside, 0] = 9.0
    assert finder_losses(raw, faces, 64, 64).taken == 0
    sure = raw.clone()
    sure[0, inside, 0] = -9.0
    assert finder_losses(raw, faces, 64, 64).score == finder_losses(sure, faces, 64, 64).score


def test_perfect_answer_costs_little() -> None:
    centres, strides = grid(64, 64)
    faces = _faces([10, 10, 40, 42])
    faces.points[0] = torch.arange(10.0).reshape(5, 2) + 15
    raw = torch.zeros(1, len(strides), 15)
    raw[..., 0] = -12
    raw[..., 1:5] = encode_boxes(faces.boxes[0].expand(len(strides), 4), centres, strides)
    points = (faces.points[0][None] - centres[:, None]) / strides[:, None, None]
    raw[..., 5:] = points.reshape(1, -1, 10)
    raw[0, assign(raw[..., 0], decode_boxes(raw[..., 1:5], centres, strides), faces,
                  centres, strides).cell, 0] = 12  # fmt: skip
    losses = finder_losses(raw, faces, 64, 64)
    assert losses.taken > 0
    assert float(losses.score + losses.box + losses.points) < 1e-2


def test_batch_without_faces_has_a_loss() -> None:
    raw = torch.zeros(2, 84, 15, requires_grad=True)
    losses = finder_losses(raw, _faces(), 64, 64)
    (losses.score + losses.box + losses.points).backward()
    assert torch.isfinite(raw.grad).all()
