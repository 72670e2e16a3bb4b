"""Inspection of a dataset before training: duplicates, leaks, broken files, odd labels."""

from mien.data.inspection.finding import Finding, Inspection
from mien.data.inspection.run import InspectConfig, inspect_data
from mien.data.registry import open_for_inspection

__all__ = ["Finding", "InspectConfig", "Inspection", "inspect_data", "open_for_inspection"]
