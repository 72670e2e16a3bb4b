"""Adoption: a classifier trained elsewhere becomes a model folder."""

from mien.adopt.run import Adoption, adopt
from mien.adopt.settings import AdoptSettings

__all__ = ["AdoptSettings", "Adoption", "adopt"]
