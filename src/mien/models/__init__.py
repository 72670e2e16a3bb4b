"""Networks that mien trains, by name."""

from mien.models import mienet as _mienet  # noqa: F401 - registers its networks
from mien.models.registry import ModelSpec, create_model, list_models, model_spec, register_model

__all__ = ["ModelSpec", "create_model", "list_models", "model_spec", "register_model"]
