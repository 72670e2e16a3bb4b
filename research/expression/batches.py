"""Batches with a fixed share of each source, and the loss that removes each source's prior.

A network is trained on ``softmax(logits + log prior of the source)``, so that its own logits mean
the same under every source (logit adjustment, Menon et al. 2021, https://arxiv.org/abs/2007.07314,
here by source). Adding ``strength * log shares`` afterwards gives it the prior of one's choice.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from research.expression.bank import UNLABELLED, SourceFaces
from research.expression.tones import Tones, change_tones
from research.expression.views import Geometry, draw_view
from torch import Tensor


@dataclass(frozen=True)
class Mixture:
    """What a batch is made of.

    Args:
        shares: Source -> share of a batch.
        label_weights: Source -> weight of the labels next to the teachers' answers.
        smoothing: Source -> share of the target given to the classes alike.
        mixup: Share of faces that are blended with another one.
        mixup_alpha: Of the Beta distribution of the blending weight.
    """

    shares: dict[str, float]
    label_weights: dict[str, float] = field(default_factory=dict)
    smoothing: dict[str, float] = field(default_factory=dict)
    mixup: float = 0.4
    mixup_alpha: float = 0.4

    def counts(self, batch_size: int, sources: dict[str, SourceFaces]) -> dict[str, int]:
        """Returns how many faces of each source a batch holds."""
        total = sum(self.shares.values())
        wanted = {k: round(batch_size * v / total) for k, v in self.shares.items() if k in sources}
        wanted["ferplus"] += batch_size - sum(wanted.values())
        return {name: count for name, count in wanted.items() if count > 0}


class Batches:
    """Draws batches on the device of the faces.

    Args:
        sources: Training faces by source.
        mixture: Shares and targets.
        batch_size: Faces in a batch.
        geometry: Of the views.
        tones: Of the views.
    """

    def __init__(
        self,
        sources: dict[str, SourceFaces],
        mixture: Mixture,
        batch_size: int,
        *,
        geometry: Geometry | None = None,
        tones: Tones | None = None,
    ) -> None:
        self.sources, self.mixture, self.batch_size = sources, mixture, batch_size
        self.geometry, self.tones = geometry or Geometry(), tones or Tones()
        self.counts = mixture.counts(batch_size, sources)
        self.targets = {name: self._blend_targets(sources[name]) for name in self.counts}
        device = sources["ferplus"].images.device
        table = np.random.default_rng(0).beta(mixture.mixup_alpha, mixture.mixup_alpha, 1 << 16)
        self._beta = torch.from_numpy(table.astype(np.float32)).to(device)

    def _blend_targets(self, faces: SourceFaces) -> Tensor:
        smoothing = self.mixture.smoothing.get(faces.name, 0.0)
        labels = faces.targets * (1 - smoothing) + smoothing / faces.targets.shape[1]
        if faces.answers is None:
            if faces.name in UNLABELLED:
                raise ValueError(f"{faces.name} has no labels and no answers of teachers.")
            return labels
        default = 0.0 if faces.name in UNLABELLED else 0.4
        weight = self.mixture.label_weights.get(faces.name, default)
        return weight * labels + (1 - weight) * faces.answers

    @torch.no_grad()
    def draw(self) -> tuple[Tensor, Tensor, Tensor]:
        """Returns views (N, 1, 96, 96) on 0..255, targets (N, 8) and log priors (N, 8)."""
        material = self.sources["ferplus"].images
        views, targets, priors = [], [], []
        for name, count in self.counts.items():
            faces = self.sources[name]
            index = torch.multinomial(faces.weights, count, replacement=True)
            views.append(draw_view(faces, index, self.geometry, material))
            targets.append(self.targets[name][index])
            priors.append(faces.log_prior.expand(count, -1))
        x = change_tones(torch.cat(views), self.tones)
        return self._mix(x, torch.cat(targets), torch.cat(priors))

    def _mix(self, x: Tensor, targets: Tensor, priors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """MixUp across sources, one weight a face; priors are blended like the targets."""
        n, device = len(x), x.device
        if not self.mixture.mixup:
            return x, targets, priors
        order = torch.randperm(n, device=device)
        weight = self._beta[torch.randint(len(self._beta), (n,), device=device)]
        weight = torch.where(torch.rand(n, device=device) < self.mixture.mixup, weight, 0.0)
        blend = weight.view(n, 1)
        x = x.lerp(x[order], blend.view(n, 1, 1, 1))
        return x, targets.lerp(targets[order], blend), priors.lerp(priors[order], blend)


def adjusted_loss(logits: Tensor, targets: Tensor, priors: Tensor) -> Tensor:
    """Returns the mean cross-entropy of ``softmax(logits + priors)`` against soft targets."""
    log_probs = (logits.float() + priors).log_softmax(dim=1)
    return -(targets * log_probs).sum(dim=1).mean()
