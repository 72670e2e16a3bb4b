"""Fixtures of this folder."""

from support.training_recipe_runs import faces

__all__ = ["faces"]
