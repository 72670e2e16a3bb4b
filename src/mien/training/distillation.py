"""Knowledge distillation: learning from trained networks in addition to the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from mien.errors import ConfigError
from mien.models.layers import normalize_tensor
from mien.training.config import TrainConfig, split_names
from mien.training.data.augment import uniform, warp

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Generator, Tensor

    from mien.labels import LabelSchema
    from mien.preprocess import Preprocessing


class Teachers(nn.Module):
    """Trained networks that say what a batch looks like; their weights never change.

    After Hinton et al. 2015 (https://arxiv.org/abs/1503.02531), on the very view that the student
    sees (Beyer et al. 2022, https://arxiv.org/abs/2106.05237). Each maps (N, C, S, S) to logits
    (N, K), which are divided by the temperature; above 1, small probabilities count more.
    """

    def __init__(self, networks: list[nn.Module], temperature: float) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks).eval().requires_grad_(requires_grad=False)
        self.temperature = temperature

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Maps normalised faces (N, C, S, S) to the mean of the softened probabilities (N, K)."""
        logits = torch.stack([network(x).float() for network in self.networks])
        return (logits / self.temperature).softmax(dim=-1).mean(dim=0)

    def loss(self, logits: Tensor, said: Tensor) -> Tensor:
        """Returns how far a student's logits (N, K) are from what its teachers said (N, K).

        The divergence ``sum q (log q - log p)`` of the softened probabilities, times the square of
        the temperature, so that its gradients keep their size.
        """
        log_probs = (logits / self.temperature).log_softmax(dim=1)
        terms = functional.kl_div(log_probs, said, reduction="none")
        return terms.sum(dim=1).mean() * self.temperature**2


def load_teachers(
    config: TrainConfig, preprocessing: Preprocessing, schema: LabelSchema | None = None
) -> Teachers | None:
    """Reads the recipe's teachers; None where it names none, labels are compared if given."""
    from mien.backends.torch import load_network
    from mien.hub import read_model_folder

    networks = []
    for name in split_names(config.teachers):
        folder = read_model_folder(name)
        labels = folder.config.schema.labels
        if schema is not None and labels != schema.labels:
            raise ConfigError(
                f"teacher {name} answers {', '.join(labels)}; the data has "
                f"{', '.join(schema.labels)}: give a teacher of the same labels."
            )
        if folder.config.preprocessing != preprocessing:
            raise ConfigError(
                f"teacher {name} takes {folder.config.preprocessing}; the student takes "
                f"{preprocessing}: both must see the same faces, so give size, color or another "
                "model."
            )
        networks.append(load_network(folder).to(memory_format=torch.channels_last))
    return Teachers(networks, config.distill_temperature) if networks else None


@torch.no_grad()
def average_answers(
    teachers: Teachers,
    faces: Tensor,
    config: TrainConfig,
    preprocessing: Preprocessing,
    progress: Callable[[int], None] = lambda _done: None,
) -> Tensor:
    """Returns the mean of the teachers' softened probabilities, (N, K), over a few framings.

    The first view of the faces uint8 (N, C, S, S) are they themselves, every second one is
    mirrored, all but the first two are turned by up to 6 degrees, zoomed by up to 10 % and shifted
    by up to 4 % of the side. ``progress`` is called with the number of faces just done.
    """
    device = next(teachers.parameters()).device
    means = []
    for number, part in enumerate(torch.split(faces, 256)):
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + number)
        total = torch.zeros(())
        for view in range(config.distill_views):
            x = normalize_tensor(_view(part.float(), view, generator), preprocessing)
            answers = teachers(x.contiguous(memory_format=torch.channels_last).to(device))
            total = total + answers.cpu()
        means.append(total / config.distill_views)
        progress(len(part))
    return torch.cat(means)


def _view(faces: Tensor, number: int, generator: Generator) -> Tensor:
    if not number:
        return faces
    n, much = len(faces), float(number > 1)
    angle = uniform(n, -0.1, 0.1, generator) * much
    zoom = torch.exp(uniform(n, -0.1, 0.1, generator) * much)
    move = uniform(2 * n, -0.08, 0.08, generator).view(n, 2) * much
    return warp(faces, angle, zoom, torch.full((n,), 1.0 - 2.0 * (number % 2)), move)
