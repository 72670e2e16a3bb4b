from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytest.importorskip("torch")

import torch
from torch.nn import functional

from mien.models import create_model
from mien.training.config import TrainConfig
from mien.training.distillation import Teachers
from mien.training.module import ExpressionModule
from mien.training.network import trained_spec


class _Fixed(torch.nn.Module):
    def __init__(self, logits: list[list[float]]) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(torch.tensor(logits))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits[: len(x)]


def test_teachers_are_averaged_as_softened_probabilities() -> None:
    first, second = [[2.0, 0.0, 1.0]], [[0.0, 4.0, 0.0]]
    teachers = Teachers([_Fixed(first), _Fixed(second)], temperature=2.0)
    said = teachers(torch.zeros(1, 1, 8, 8))
    expected = (torch.tensor(first) / 2).softmax(1) / 2 + (torch.tensor(second) / 2).softmax(1) / 2
    torch.testing.assert_close(said, expected)
    assert not said.requires_grad
    assert not any(parameter.requires_grad for parameter in teachers.parameters())


def test_loss_is_the_divergence_and_nought_for_a_perfect_student() -> None:
    teachers = Teachers([_Fixed([[1.0, -1.0, 0.5]])], temperature=3.0)
    said = teachers(torch.zeros(1, 1, 8, 8))
    same = torch.tensor([[1.0, -1.0, 0.5]]) + 7.0
    assert float(teachers.loss(same, said)) == pytest.approx(0.0, abs=1e-6)
    logits = torch.tensor([[0.0, 1.0, 2.0]])
    expected = 9 * functional.kl_div((logits / 3).log_softmax(1), said, reduction="batchmean")
    torch.testing.assert_close(teachers.loss(logits, said), expected)
    certain = torch.tensor([[1.0, 0.0, 0.0]])
    assert torch.isfinite(teachers.loss(logits, certain)), "no logarithm of nought"


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
def test_a_step_weighs_labels_and_teachers(weight: float) -> None:
    config = TrainConfig.make(
        {"model": "mienet_test", "teachers": "x", "distill_weight": weight, "flip": 0, "rotate": 0,
         "scale_min": 1, "scale_max": 1, "shift": 0, "light": 0, "blur": 0, "low_resolution": 0,
         "noise": 0, "erase": 0, "mixup": 0, "epochs": 3}
    )  # fmt: skip
    spec = trained_spec(config)
    torch.manual_seed(0)
    network = create_model("mienet_test", num_classes=3).eval()
    teachers = Teachers([create_model("mienet_test", num_classes=3)], temperature=2.0)
    module = ExpressionModule(
        network, config, spec.preprocessing, steps_per_epoch=1, teachers=teachers
    )
    assert not any("teacher" in name for name in module.state_dict())
    seen = []
    network.register_forward_hook(lambda _module, inputs, output: seen.append((inputs[0], output)))
    faces = torch.randint(0, 256, (4, 1, 48, 48), dtype=torch.uint8)
    targets = torch.eye(3)[[0, 1, 2, 0]]
    loss = module.training_step((faces, targets, targets.argmax(1)), 0)
    x, logits = seen[0]
    own = functional.cross_entropy(logits, targets)
    theirs = teachers.loss(logits, teachers(x))
    assert float(own.detach()) != pytest.approx(float(theirs.detach()), rel=1e-2)
    torch.testing.assert_close(loss, (1 - weight) * own + weight * theirs)
