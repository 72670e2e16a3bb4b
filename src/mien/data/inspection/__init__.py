"""What a dataset hides: copies, leaks, broken files, odd labels, before anything is trained."""

from mien.data.inspection.finding import Finding, Inspection
from mien.data.inspection.run import inspect_data, open_for_inspection

__all__ = ["Finding", "Inspection", "inspect_data", "open_for_inspection"]
