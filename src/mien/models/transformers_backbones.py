"""Backbones of transformers as ``transformers:TYPE``, each with a head of ours.

A folder or a Hub repository in its layout (``google/vit-base-patch16-224-in21k``) names a network
and its weights at once; what ``config.json`` says of the network is recorded as options, so that
a trained model is opened without that folder. Hugging Face's Transformers,
https://github.com/huggingface/transformers, Apache-2.0, imported when such a network is asked for.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from mien.errors import ConfigError, ModelError, first_line, import_extra, suggest
from mien.hub.folder import CONFIG, WEIGHTS
from mien.hub.foreign import IMAGENET, open_foreign, read_json, read_preprocessing
from mien.hub.tensors import read_tensors
from mien.models.layers import FaceNetwork
from mien.models.registry import ModelSpec, register_family
from mien.models.timm_backbones import PREFIX as TIMM
from mien.models.timm_backbones import pretrained_record, timm_spec
from mien.preprocess import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

PREFIX = "transformers:"
#: Values of ``model_type`` that are known to end in a map, or in tokens after a class token.
TYPES = (
    "convnext", "convnextv2", "deit", "efficientnet", "mobilenet_v1", "mobilenet_v2", "regnet",
    "resnet", "vit",
)  # fmt: skip
_TOKENS = ("deit", "vit")
#: What ``config.json`` says that does not change the network.
_NOT_OPTIONS = frozenset({
    "_name_or_path", "architectures", "dtype", "id2label", "image_size", "label2id", "model_type",
    "num_channels", "num_labels", "problem_type", "torch_dtype", "transformers_version",
})  # fmt: skip
_BLOCK = re.compile(r"\b(?:layers?|stages|blocks)\.(\d+)\.")


class TransformersBackbone(FaceNetwork):
    """A network of transformers without its classifier, and a linear layer of ours.

    Its features are always a map (N, F, h, w). Tokens of a transformer become one by their places,
    each moved by the difference between the class token and the mean of the patches: the mean of
    the map is then the class token, which is what the classifier sees.
    """

    def __init__(self, backbone: Any, *, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.backbone = backbone
        self._has_tokens = backbone.config.model_type in _TOKENS
        self.num_features = _width(backbone)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.num_features, num_classes)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward_features(self, x: Tensor) -> Tensor:
        """Maps faces (N, C, S, S) to the last feature map (N, F, h, w)."""
        last: Tensor = self.backbone(pixel_values=x).last_hidden_state
        if not self._has_tokens:
            return last
        patch = self.backbone.config.patch_size
        height, width = x.shape[2] // patch, x.shape[3] // patch
        patches = last[:, last.shape[1] - height * width :]
        moved = patches + (last[:, 0] - patches.mean(dim=1)).unsqueeze(1)
        return moved.transpose(1, 2).reshape(-1, self.num_features, height, width)

    def forward_head(self, features: Tensor) -> Tensor:
        """Maps a feature map (N, F, h, w) to logits (N, K)."""
        pooled = features.mean(dim=(2, 3))
        if self.backbone.config.model_type.startswith("convnext"):
            pooled = self.backbone.layernorm(pooled)
        logits: Tensor = self.head(self.dropout(pooled))
        return logits

    def stage_names(self) -> list[list[str]]:
        """Returns the names of the backbone's parameters by block, earliest first."""
        stages: dict[float, list[str]] = {}
        behind = False
        for name, _ in self.backbone.named_parameters():
            block = _BLOCK.search(name)
            behind |= block is not None
            place = int(block[1]) if block else (float("inf") if behind else -1)
            stages.setdefault(place, []).append(f"backbone.{name}")
        return [stages[place] for place in sorted(stages)]


def _width(backbone: Any) -> int:
    """Returns the channels F of a network's tokens or last map."""
    config = backbone.config
    if config.model_type in _TOKENS:
        return int(config.hidden_size)
    with torch.no_grad():
        faces = torch.zeros(1, config.num_channels, 64, 64)
        return int(backbone.eval()(pixel_values=faces).last_hidden_state.shape[1])


def _library() -> Any:
    return import_extra("transformers", "a network of transformers'", "transformers")


@cache
def _open(name: str) -> ModelSpec:
    kind = name.removeprefix(PREFIX)
    if kind not in TYPES:
        raise ConfigError(f"{name!r} is no network that mien trains." + suggest(kind, TYPES))

    def build(
        *,
        num_classes: int,
        in_channels: int = 3,
        dropout: float = 0.0,
        size: int = 224,
        config: Mapping[str, Any] = MappingProxyType({}),
        **options: Any,
    ) -> nn.Module:
        library = _library()
        values = {**config, "image_size": size, "num_channels": in_channels, **options}
        made = library.AutoConfig.for_model(kind, **values)
        more = {"add_pooling_layer": False} if kind in _TOKENS else {}
        backbone = library.AutoModel.from_config(made, **more)
        return TransformersBackbone(backbone, num_classes=num_classes, dropout=dropout)

    mean, std = IMAGENET
    usual = Preprocessing(size=224, color="rgb", normalization="fixed", mean=mean, std=std)
    return ModelSpec(name, build, usual, f"{kind} of transformers")


@cache
def _open_folder(model: str) -> ModelSpec:
    folder = open_foreign(model)
    config = read_json(folder / CONFIG)
    if "architecture" in config:
        return _open_timm(folder, config)
    kind = config.get("model_type")
    if kind not in TYPES:
        raise ConfigError(
            f"{model} is a network of the type {kind!r}",
            subject="model",
            hint=f"Those that mien trains: {', '.join(TYPES)}; of the layout of timm, any.",
        )
    preprocessing = read_preprocessing(folder, config)
    kept = {key: value for key, value in config.items() if key not in _NOT_OPTIONS}
    return replace(
        _open(f"{PREFIX}{kind}"),
        preprocessing=preprocessing,
        options={"config": kept, "size": preprocessing.size},
        read_weights=lambda: _read_weights(folder, kind),
    )


def _open_timm(folder: Path, config: dict[str, Any]) -> ModelSpec:
    """Opens what timm's ``push_to_hf_hub`` writes."""
    name = f"{TIMM}{config['architecture']}"
    spec = timm_spec(name, {**pretrained_record(name), **config.get("pretrained_cfg", {})})
    given = config.get("model_args") or {}
    options = {key: v for key, v in given.items() if key not in {"num_classes", "in_chans"}}
    return replace(spec, options=options, read_weights=lambda: read_tensors(folder / WEIGHTS))


def _read_weights(folder: Path, kind: str) -> dict[str, Tensor]:
    library = _library()
    options: dict[str, Any] = {"add_pooling_layer": False} if kind in _TOKENS else {}
    options |= {"local_files_only": True, "use_safetensors": True, "dtype": torch.float32}
    with _silent(library):
        try:
            network, report = library.AutoModel.from_pretrained(
                folder, output_loading_info=True, **options
            )
        except Exception as error:  # whatever a foreign loader raises
            reason = f"cannot be read by transformers: {first_line(error)}"
            raise ModelError(reason, subject=folder) from error
    if missing := sorted(report["missing_keys"]):
        shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if missing[3:] else "")
        raise ModelError(f"does not hold all weights of a {kind}: {shown}", subject=folder)
    return {f"backbone.{name}": value for name, value in network.state_dict().items()}


@contextmanager
def _silent(library: Any) -> Iterator[None]:
    """Keeps transformers from reporting that there is a classifier which nobody wants."""
    logging = library.utils.logging
    level, has_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if has_bar:
            logging.enable_progress_bar()


register_family(PREFIX.removesuffix(":"), _open)
register_family("/", _open_folder)
