"""The network behind ``mien:verify``: is this crop a face, or did the detector err?

mienet's layers without its last one, under a small head. A network that learned to read
expressions has seen many faces cut as these are; training starts from its weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from mien.models.mienet import MieNet

if TYPE_CHECKING:
    from torch import Tensor

#: Side of the gray crops in pixels.
SIDE = 48
#: Grey levels added to a crop's standard deviation, as the expression model's input has it.
EPSILON = 10.0
_HIDDEN = 128
#: Detector scores are kept this far from 0 and 1.
_EDGE = 1e-3


class Verifier(nn.Module):
    """Judges crops; 1,469,378 weights.

    >>> Verifier()(torch.zeros(2, 1, 48, 48), torch.full((2,), 0.5)).shape
    torch.Size([2])
    """

    def __init__(self) -> None:
        super().__init__()
        self.backbone = MieNet(num_classes=1)
        self.backbone.head = nn.Identity()  # type: ignore[assignment]
        features = self.backbone.num_features
        self.head = nn.Sequential(
            nn.Dropout(0.1), nn.Linear(2 * features, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, 1)
        )
        self.trust = nn.Parameter(torch.tensor(0.7))

    def forward(self, faces: Tensor, scores: Tensor) -> Tensor:
        """Judges crops.

        Args:
            faces: (N, 1, 48, 48), gray, 0..255.
            scores: (N,), what the detector said of each, 0..1.

        Returns:
            (N,), logits: above 0 the crop is rather a face.
        """
        mean = faces.mean(dim=(1, 2, 3), keepdim=True)
        spread = (faces - mean).square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        features = self.backbone.forward_features((faces - mean) / (spread + EPSILON)).float()
        pooled = torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)
        first = torch.logit(scores.clamp(_EDGE, 1 - _EDGE))
        judged: Tensor = self.head(pooled)[:, 0] + self.trust * first
        return judged
