"""Fixtures of this folder."""

from support.comparison_compare import runs

__all__ = ["runs"]
