"""Adoption: a classifier trained elsewhere becomes a model folder."""

from mien.adoption.run import Adoption, adopt
from mien.adoption.settings import AdoptSettings

__all__ = ["AdoptSettings", "Adoption", "adopt"]
