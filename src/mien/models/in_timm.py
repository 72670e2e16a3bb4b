"""Networks of mien in timm's registry, as one architecture: ``mien_face``.

``import mien.models.in_timm`` before ``timm.create_model("local-dir:FOLDER", pretrained=True)``, or
before a pipeline of transformers, opens what :func:`mien.hub.timm_layout.write_timm_layout`
wrote. timm and transformers only scale and normalise by fixed numbers, so what a model of mien
needs beyond that (gray, normalisation by face, the temperature) is part of the network here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from timm.models import build_model_with_cfg
from timm.models import register_model as register_in_timm
from torch import nn

from mien.models.layers import normalize_tensor
from mien.models.registry import create_model
from mien.preprocess import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["ARCHITECTURE", "FaceClassifier", "mien_face"]

ARCHITECTURE = "mien_face"


class FaceClassifier(nn.Module):
    """A network of mien that takes RGB faces on 0..1 and gives calibrated logits.

    Made for reading: rounding to whole gray levels passes no gradient to the picture.

    Args:
        num_classes: K.
        in_chans: 3; timm passes it.
        network: Registry key of the network.
        options: Options of its constructor.
        preprocessing: As :meth:`mien.preprocess.Preprocessing.to_dict` gives it.
        temperature: The logits are divided by it.
    """

    def __init__(
        self,
        num_classes: int = 8,
        in_chans: int = 3,
        *,
        network: str = "mienet_s",
        options: Mapping[str, Any] | None = None,
        preprocessing: Mapping[str, Any] | None = None,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.preprocessing = Preprocessing.from_dict(preprocessing or {"size": 48})
        self.temperature = temperature
        self.num_classes, self.in_chans = num_classes, in_chans
        self.network = create_model(
            network,
            num_classes=num_classes,
            in_channels=self.preprocessing.channels,
            **dict(options or {}),
        )

    def normalize(self, x: Tensor) -> Tensor:
        """Maps RGB (N, 3, S, S) on 0..1 to the network's input, as mien.preprocess.normalize."""
        p = self.preprocessing
        levels = torch.round(x * 255)
        if p.color == "gray":
            # Pillow's integer sum of ITU-R 601.
            red, green, blue = levels.to(torch.int64).unbind(dim=1)
            levels = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
            levels = levels.unsqueeze(1).to(x.dtype)
        return normalize_tensor(levels, p)

    def forward(self, x: Tensor) -> Tensor:
        """Maps RGB faces (N, 3, S, S) on 0..1 to logits (N, K)."""
        logits: Tensor = self.network(self.normalize(x))
        return logits / self.temperature


@register_in_timm
def mien_face(pretrained: bool = False, **kwargs: Any) -> FaceClassifier:  # noqa: FBT001, FBT002
    """Builds a network of mien for timm; what it is stands in the ``model_args`` of config.json."""
    model: FaceClassifier = build_model_with_cfg(FaceClassifier, ARCHITECTURE, pretrained, **kwargs)
    return model
