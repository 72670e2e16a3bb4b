from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch.nn import functional

from mien.errors import ConfigError
from mien.training.config import TrainConfig
from mien.training.data.faces import EpochOrder
from mien.training.optim.losses import ExpressionLoss, class_counts, class_weights, face_weights

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.5, 0.0]])
LABELS = torch.tensor([0, 2])
TARGETS = torch.eye(3)[LABELS]
SOFT = torch.tensor([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5]])


def _loss(mass: torch.Tensor | None = None, **values: Any) -> ExpressionLoss:
    return ExpressionLoss(TrainConfig(**values), mass)


def test_default_is_torchs_cross_entropy_to_the_last_bit() -> None:
    loss = _loss(class_counts(SOFT))
    assert torch.equal(loss(LOGITS, SOFT), functional.cross_entropy(LOGITS, SOFT))
    assert float(loss(LOGITS, TARGETS)) == pytest.approx(
        float(functional.cross_entropy(LOGITS, LABELS))
    )


def test_focal_is_that_of_the_paper() -> None:
    # One face, two classes, p = (0.8, 0.2): -(1 - 0.8)^2 ln 0.8.
    logits = torch.tensor([[math.log(4.0), 0.0]])
    loss = _loss(loss="focal", focal_gamma=2)
    found = float(loss(logits, torch.tensor([[1.0, 0.0]])))
    assert found == pytest.approx(0.04 * -math.log(0.8), rel=1e-5)
    same = _loss(loss="focal", focal_gamma=0)(LOGITS, SOFT)
    assert torch.allclose(same, functional.cross_entropy(LOGITS, SOFT))


def test_kl_is_torchs_and_zero_where_the_prediction_is_right() -> None:
    found = _loss(loss="kl")(LOGITS, SOFT)
    expected = functional.kl_div(LOGITS.log_softmax(1), SOFT, reduction="batchmean")
    assert torch.allclose(found, expected)
    assert float(_loss(loss="kl")(SOFT[:1].log(), SOFT[:1])) == pytest.approx(0, abs=1e-6)


def test_effective_number_by_hand() -> None:
    # beta 0.5: (1 - 0.5^1) / 0.5 = 1 and (1 - 0.5^3) / 0.5 = 1.75, so the weights are 7 : 4.
    found = class_weights(torch.tensor([1.0, 3.0]), "effective", beta=0.5)
    assert float(found[0] / found[1]) == pytest.approx(1.75)
    assert float((found * torch.tensor([1.0, 3.0])).sum() / 4) == pytest.approx(1)
    alike = class_weights(torch.tensor([1.0, 3.0, 0.0]), "effective", beta=0)
    assert alike.tolist() == pytest.approx([1, 1, 0])


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "kl"])
def test_weights_count_by_class(name: str) -> None:
    mass = torch.tensor([8.0, 4.0, 4.0])
    weights = class_weights(mass, "inverse")
    plain = torch.stack([_loss(loss=name)(LOGITS[i : i + 1], TARGETS[i : i + 1]) for i in (0, 1)])
    found = _loss(mass, loss=name, class_weight="inverse")(LOGITS, TARGETS)
    assert float(found) == pytest.approx(float((plain * weights[LABELS]).mean()))


def test_class_balanced_is_cross_entropy_by_effective_number() -> None:
    mass = torch.tensor([900.0, 90.0, 10.0])
    found = _loss(mass, loss="class_balanced", class_weight_beta=0.99)(LOGITS, TARGETS)
    same = _loss(mass, class_weight="effective", class_weight_beta=0.99)(LOGITS, TARGETS)
    assert torch.equal(found, same)
    assert not torch.equal(found, _loss()(LOGITS, TARGETS))


def test_logit_adjustment_adds_the_log_of_the_shares() -> None:
    mass = torch.tensor([6.0, 3.0, 1.0])
    shift = torch.tensor([0.6, 0.3, 0.1]).log()
    found = _loss(mass, logit_adjustment=1.5)(LOGITS, TARGETS)
    assert torch.allclose(found, functional.cross_entropy(LOGITS + 1.5 * shift, LABELS))


def test_weighted_faces_come_equally_often_by_class() -> None:
    labels = torch.tensor([0] * 90 + [1] * 10)
    weights = face_weights(torch.eye(2)[labels])
    assert float(weights[:90].sum()) == pytest.approx(0.5)
    order = EpochOrder(100, 50, seed=2, weights=weights)
    drawn = []
    for epoch in range(40):
        order.set_epoch(epoch)
        drawn += [index for batch in order for index in batch]
    share = float((labels[torch.tensor(drawn)] == 1).float().mean())
    assert share == pytest.approx(0.5, abs=0.04)
    assert list(order) == list(order)


def test_a_loss_of_ones_own_is_found_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_losses_here.py").write_text(
        "def squares(logits, targets):\n"
        "    return ((logits.softmax(1) - targets) ** 2).sum(1)\n"
        "def wrong(logits, targets):\n"
        "    return logits\n"
    )
    monkeypatch.chdir(tmp_path)
    found = _loss(loss="my_losses_here:squares")(LOGITS, TARGETS)
    assert float(found) == pytest.approx(float(((LOGITS.softmax(1) - TARGETS) ** 2).sum(1).mean()))
    with pytest.raises(ConfigError, match="one a face"):
        _loss(loss="my_losses_here:wrong")(LOGITS, TARGETS)
    with pytest.raises(ConfigError, match="Did you mean 'squares'"):
        _loss(loss="my_losses_here:sqares")
    with pytest.raises(ConfigError, match="cannot be imported"):
        _loss(loss="no_such_module:squares")


def test_by_source_adjusts_each_face_by_the_shares_of_its_dataset() -> None:
    counts = torch.tensor([[6.0, 3.0, 1.0], [1.0, 1.0, 8.0]])
    loss = _loss(counts, logit_adjustment=1.0, logit_adjustment_by="source")
    assert loss.by_source
    sources = torch.eye(2)
    shifted = LOGITS + (counts / 10).log()
    expected = functional.cross_entropy(shifted, SOFT)
    assert torch.allclose(loss(LOGITS, SOFT, sources), expected, atol=1e-6)
    # A face that is mixed of two datasets is adjusted by the mix of theirs.
    mixed = loss(LOGITS[:1], SOFT[:1], torch.tensor([[0.25, 0.75]]))
    shift = 0.25 * (counts[0] / 10).log() + 0.75 * (counts[1] / 10).log()
    assert torch.allclose(mixed, functional.cross_entropy(LOGITS[:1] + shift, SOFT[:1]), atol=1e-6)


def test_by_source_of_one_dataset_is_by_all() -> None:
    counts = torch.tensor([6.0, 3.0, 1.0])
    both = [_loss(counts, logit_adjustment=1.0, logit_adjustment_by=by) for by in ("all", "source")]
    assert torch.equal(both[0](LOGITS, SOFT), both[1](LOGITS, SOFT))
    assert not both[1].by_source
