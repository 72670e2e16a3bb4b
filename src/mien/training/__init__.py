"""Training: a recipe and a manifest go in, a run directory comes out (extra ``train``)."""

from mien.training.config import TrainConfig
from mien.training.hooks import Callback
from mien.training.result import TrainResult, train

__all__ = ["Callback", "TrainConfig", "TrainResult", "train"]
