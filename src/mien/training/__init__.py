"""Training: a recipe and a manifest go in, a run directory comes out."""

from mien.training.config import TrainConfig

__all__ = ["TrainConfig"]
