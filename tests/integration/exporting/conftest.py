"""Fixtures of this folder."""

from support.exporting_formats import copy, data, exported, made

__all__ = ["copy", "data", "exported", "made"]
