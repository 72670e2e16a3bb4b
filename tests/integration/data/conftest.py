"""Fixtures of this folder."""

from support.data_inspect_command import leaking
from support.data_inspection import inspection, planted

__all__ = ["inspection", "leaking", "planted"]
