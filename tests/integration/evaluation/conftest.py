"""Fixtures of this folder."""

from support.evaluation_groups import dataset
from support.evaluation_page import parts, report

__all__ = ["dataset", "parts", "report"]
