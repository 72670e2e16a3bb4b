"""Training: a recipe and a manifest go in, a run directory comes out."""

from mien.training.config import TrainConfig, load_recipe

__all__ = ["TrainConfig", "load_recipe"]
