"""Adoption: a classifier trained elsewhere becomes a model folder."""

from mien.adoption.config import AdoptConfig
from mien.adoption.run import Adoption, adopt

__all__ = ["AdoptConfig", "Adoption", "adopt"]
