"""Losses next to those of torchvision and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
ops = pytest.importorskip("torchvision.ops")
class_weight = pytest.importorskip("sklearn.utils.class_weight")

from mien.training.config import TrainConfig
from mien.training.optim.losses import ExpressionLoss, class_counts, class_weights


def test_focal_is_that_of_torchvision() -> None:
    """With two classes, softmax over (z, 0) is the sigmoid of z."""
    z = math.log(4.0)
    loss = ExpressionLoss(TrainConfig(loss="focal", focal_gamma=2))
    found = float(loss(torch.tensor([[z, 0.0]]), torch.tensor([[1.0, 0.0]])))
    expected = ops.sigmoid_focal_loss(torch.tensor([z]), torch.tensor([1.0]), alpha=-1, gamma=2)
    assert found == pytest.approx(float(expected), rel=1e-5)


def test_inverse_weights_are_those_of_scikit_learn() -> None:
    labels = np.array([0] * 6 + [1] * 3 + [2])
    expected = class_weight.compute_class_weight("balanced", classes=np.arange(3), y=labels)
    mass = class_counts(torch.eye(3)[torch.from_numpy(labels)])
    assert np.allclose(class_weights(mass, "inverse").numpy(), expected)
