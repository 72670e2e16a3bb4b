"""Backbones of timm as ``timm:NAME``, each with a head of ours; timm is imported when one is asked.

Any name of timm's goes; ``NAMED`` are those that listings show. Ross Wightman's PyTorch Image
Models, https://github.com/huggingface/pytorch-image-models, Apache-2.0.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from torch import nn

from mien.errors import ConfigError, import_extra, suggest
from mien.hub.foreign import known_interpolation
from mien.models.layers import FaceNetwork
from mien.models.registry import ModelSpec, register_family
from mien.preprocess import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

PREFIX = "timm:"
NAMED = tuple(
    f"{PREFIX}{name}"
    for name in (
        "vgg16", "resnet34", "resnet50", "mobilenetv2_100", "mobilenetv3_large_100",
        "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3",
        "efficientnet_b4", "efficientnet_b5", "inception_v3", "convnext_tiny",
        "vit_base_patch16_224.orig_in21k",
    )
)  # fmt: skip


class TimmBackbone(FaceNetwork):
    """A network of timm, built with ``num_classes=0``, and a linear layer of ours.

    Its features are always a map (N, F, h, w). Tokens (N, L, F) of a transformer become one by
    their places; each is moved by the difference between what timm pools (the class token, where
    there is one) and the mean of the patches. The mean of the map is then what timm pools, so that
    logits are timm's own, and a class-activation map tells the patches apart.
    """

    def __init__(self, backbone: Any, *, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.backbone = backbone
        if not all(hasattr(backbone, name) for name in ("forward_features", "forward_head")):
            raise ConfigError(
                "of timm has no features and no head", subject=type(backbone).__name__
            )
        self.num_features = int(backbone.num_features)
        self.dropout = nn.Dropout(dropout)
        width = int(getattr(backbone, "head_hidden_size", self.num_features))
        self.head = nn.Linear(width, num_classes)
        self._channels_last = str(getattr(backbone, "output_fmt", "NCHW")).endswith("NHWC")
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward_features(self, x: Tensor) -> Tensor:
        """Maps faces (N, C, S, S) to the last feature map (N, F, h, w)."""
        tokens: Tensor = self.backbone.forward_features(x)
        if tokens.ndim != 3:
            return tokens.permute(0, 3, 1, 2) if self._channels_last else tokens
        if not hasattr(self.backbone, "patch_embed"):
            reason = "of timm gives tokens without places: it offers no feature map"
            hint = "Take another network."
            raise ConfigError(reason, subject=type(self.backbone).__name__, hint=hint)
        pooled = self.backbone.forward_head(tokens, pre_logits=True)
        height, width = self.backbone.patch_embed.grid_size
        patches = tokens[:, tokens.shape[1] - height * width :]
        moved = patches + (pooled - patches.mean(dim=1)).unsqueeze(1)
        spread: Tensor = moved.transpose(1, 2).reshape(-1, self.num_features, height, width)
        return spread

    def forward_head(self, features: Tensor) -> Tensor:
        """Maps a feature map (N, F, h, w) to logits (N, K)."""
        if hasattr(self.backbone, "patch_embed") and not self._channels_last:
            pooled = features.mean(dim=(2, 3))
        else:
            inner = features.permute(0, 2, 3, 1) if self._channels_last else features
            pooled = self.backbone.forward_head(inner, pre_logits=True)
        logits: Tensor = self.head(self.dropout(pooled))
        return logits

    def stage_names(self) -> list[list[str]]:
        """Returns the names of the backbone's parameters by stage, as timm groups them."""
        models = _timm("models")
        matcher = self.backbone.group_matcher(coarse=True)
        groups = models.group_parameters(self.backbone, matcher)
        return [[f"backbone.{name}" for name in groups[key]] for key in sorted(groups)]


def _timm(part: str) -> Any:
    return import_extra(f"timm.{part}", "a network of timm's", "train")


def pretrained_record(name: str) -> dict[str, Any]:
    """Returns what timm knows of the weights of ``timm:NAME.TAG``: input, mean, std, place."""
    models = _timm("models")
    wanted = name.removeprefix(PREFIX)
    architecture, _, tag = wanted.partition(".")
    if architecture not in (known := models.list_models()):
        raise ConfigError(f"timm has no network {architecture!r}.{_closest(architecture, known)}")
    try:
        record = models.get_pretrained_cfg(architecture if not tag else wanted)
    except RuntimeError:
        record = None
    if record is None:
        tagged = models.list_pretrained(f"{architecture}.*")
        raise ConfigError(
            f"timm has no weights {tag!r} of {architecture!r}.{_closest(wanted, tagged)}"
        )
    values: dict[str, Any] = record.to_dict()
    return values


def _closest(given: str, known: list[str]) -> str:
    hint = suggest(given, known)
    return "" if len(hint) > 300 else hint


@cache
def _open(name: str) -> ModelSpec:
    return timm_spec(name, pretrained_record(name))


def timm_spec(name: str, record: Mapping[str, Any]) -> ModelSpec:
    """Returns ``timm:NAME`` with the input that a record of its weights names."""

    def build(
        *,
        num_classes: int,
        in_channels: int = 3,
        dropout: float = 0.0,
        size: int = 0,
        **options: Any,
    ) -> nn.Module:
        if size and record.get("fixed_input_size"):
            options["img_size"] = size
        backbone = _timm("models").create_model(
            name.removeprefix(PREFIX), num_classes=0, in_chans=in_channels, **options
        )
        return TimmBackbone(backbone, num_classes=num_classes, dropout=dropout)

    interpolation = known_interpolation(record.get("interpolation", "bicubic"), name, "bicubic")
    return ModelSpec(
        name,
        build,
        Preprocessing(
            size=int(record["input_size"][1]),
            color="rgb",
            interpolation=interpolation,
            normalization="fixed",
            mean=tuple(record["mean"]),
            std=tuple(record["std"]),
        ),
        f"timm's {name.removeprefix(PREFIX)}, for weights that were trained elsewhere",
    )


register_family(PREFIX.removesuffix(":"), _open, shown=NAMED)
