"""Networks that mien trains, by name."""

from mien.models import (  # noqa: F401 - they register their networks
    alexnet,
    cnn,
    efficientnet,
    inception,
    lenet,
    mienet,
    mobilenet,
    resnet,
    timm_backbones,
    vgg,
    vit,
)
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
    "create_model",
    "list_backbones",
    "list_models",
    "model_spec",
    "register_model",
]
