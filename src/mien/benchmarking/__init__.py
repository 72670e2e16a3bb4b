"""How fast mien answers on this machine: latency, throughput, start, memory, stage by stage.

>>> BenchmarkConfig(repeats=20).batch_sizes
(1, 8, 32)
"""

from mien.benchmarking.config import BenchmarkConfig
from mien.benchmarking.report import BenchmarkReport, ModelFigures
from mien.benchmarking.run import run_benchmark
from mien.benchmarking.timing import Spread

__all__ = ["BenchmarkConfig", "BenchmarkReport", "ModelFigures", "Spread", "run_benchmark"]
