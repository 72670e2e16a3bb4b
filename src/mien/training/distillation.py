"""Knowledge distillation: learning from trained networks in addition to the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from mien.errors import ConfigError
from mien.training.data.augment import normalize_tensor
from mien.training.data.transforms import uniform, warp
from mien.training.distributed.trainer import autocast, training_device

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Generator, Tensor

    from mien.labels import LabelSchema
    from mien.preprocess import Preprocessing
    from mien.training.config import TrainConfig
    from mien.training.data.faces import FaceTensors


class Teachers(nn.Module):
    """Trained networks that say what a batch looks like; their weights never change.

    After Hinton et al. 2015 (https://arxiv.org/abs/1503.02531), on the very view that the student
    sees (Beyer et al. 2022, https://arxiv.org/abs/2106.05237).

    Args:
        networks: Each maps (N, C, S, S) to logits (N, K).
        temperature: By which all logits are divided; above 1, small probabilities count more.
    """

    def __init__(self, networks: list[nn.Module], temperature: float) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks).eval().requires_grad_(requires_grad=False)
        self.temperature = temperature

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Maps normalised faces (N, C, S, S) to the mean of the softened probabilities (N, K)."""
        answers = [
            (network(x).float() / self.temperature).softmax(dim=1) for network in self.networks
        ]
        return torch.stack(answers).mean(dim=0)

    def loss(self, logits: Tensor, said: Tensor) -> Tensor:
        """Returns how far a student is from what its teachers said, a number.

        The divergence ``sum q (log q - log p)`` of the softened probabilities, times the square of
        the temperature, so that its gradients keep their size.

        Args:
            logits: (N, K), the student's.
            said: (N, K), what calling this module returned.
        """
        log_probs = (logits / self.temperature).log_softmax(dim=1)
        terms = torch.xlogy(said, said) - said * log_probs
        return terms.sum(dim=1).mean() * self.temperature**2


def load_teachers(
    config: TrainConfig, preprocessing: Preprocessing, schema: LabelSchema | None = None
) -> Teachers | None:
    """Reads the recipe's teachers; None where it names none.

    Args:
        config: The recipe.
        preprocessing: Of the student.
        schema: The student's labels; None does not compare them.

    Raises:
        ConfigError: If a teacher has other labels or wants its faces in another way.
        ModelError: If a model folder or its weights cannot be used.
    """
    from mien.backends.torch import load_network
    from mien.hub import read_model_folder

    networks = []
    for name in filter(None, (part.strip() for part in config.teachers.split(","))):
        folder = read_model_folder(name)
        if schema is not None and folder.config.schema.labels != schema.labels:
            raise ConfigError(
                f"teacher {name} answers {', '.join(folder.config.schema.labels)}; the data has "
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


def distillation_targets(
    teachers: Teachers,
    faces: FaceTensors,
    config: TrainConfig,
    preprocessing: Preprocessing,
    progress: Callable[[int], None],
) -> Tensor:
    """Moves each target towards what the teachers answer, by the recipe's ``distill_weight``.

    Args:
        teachers: They are moved to the device of the training.
        faces: N faces with targets (N, K).
        config: The recipe.
        preprocessing: The normalisation of the teachers' input.
        progress: Called with the number of faces just done.

    Returns:
        float32 (N, K).
    """
    teachers.to(training_device(config))
    with autocast(config):
        answers = average_answers(teachers, faces.faces, config, preprocessing, progress)
    return faces.targets.lerp(answers, config.distill_weight)


@torch.no_grad()
def average_answers(
    teachers: Teachers,
    faces: Tensor,
    config: TrainConfig,
    preprocessing: Preprocessing,
    progress: Callable[[int], None] = lambda _done: None,
) -> Tensor:
    """Asks the teachers about each face as it is, and averages over a few framings of it.

    The first view is the face itself, every second one is mirrored, all but the first two are
    turned by up to 6 degrees, zoomed by up to 10 % and shifted by up to 4 % of the side.

    Args:
        teachers: Networks on the device that is to do the work.
        faces: uint8 (N, C, S, S).
        config: The recipe, for its views and its seed.
        preprocessing: The normalisation of the teachers' input.
        progress: Called with the number of faces just done.

    Returns:
        float32 (N, K), the mean of the softened probabilities, on the CPU.
    """
    device = next(teachers.parameters()).device
    means = []
    for number, part in enumerate(torch.split(faces, 256)):
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + number)
        views = (_view(part.float(), view, generator) for view in range(config.distill_views))
        total = torch.zeros(())
        for view in views:
            x = normalize_tensor(view, preprocessing).contiguous(memory_format=torch.channels_last)
            total = total + teachers(x.to(device)).cpu()
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
