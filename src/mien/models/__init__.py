"""Networks that mien trains, by name."""

from mien.models import (  # noqa: F401 - they register their networks
    classic,
    mienet,
    plain,
    resnet,
    timm_backbones,
    transformers_backbones,
    vit,
)
from mien.models.layers import PooledNetwork
from mien.models.registry import (
    ModelSpec,
    create_model,
    list_backbones,
    list_models,
    model_spec,
    register_model,
)

__all__ = [
    "ModelSpec",
    "PooledNetwork",
    "create_model",
    "list_backbones",
    "list_models",
    "model_spec",
    "register_model",
]
