"""Runs side by side: how good, how large, how fast, and whether the difference is real."""

from mien.comparison.costs import RunCosts, measure_latency, read_costs
from mien.comparison.runs import RunComparison, RunRow, compare

__all__ = ["RunComparison", "RunCosts", "RunRow", "compare", "measure_latency", "read_costs"]
