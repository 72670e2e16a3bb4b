"""How fast mien answers on this machine: latency, throughput, start, memory, stage by stage.

>>> BenchmarkConfig(repeats=20).batch_sizes
(1, 8, 32)
"""

from __future__ import annotations

from mien.benchmark.config import BenchmarkConfig
from mien.benchmark.report import BenchmarkReport, ModelFigures
from mien.benchmark.run import run_benchmark
from mien.benchmark.spread import Spread

__all__ = ["BenchmarkConfig", "BenchmarkReport", "ModelFigures", "Spread", "run_benchmark"]
