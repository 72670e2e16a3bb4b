"""From photos and settings to a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.benchmarking.config import BenchmarkConfig
from mien.benchmarking.machine import describe_machine
from mien.benchmarking.measuring import measure_overhead, measure_photos, measure_throughput
from mien.benchmarking.processes import first_answer
from mien.benchmarking.report import BenchmarkReport, ModelFigures
from mien.benchmarking.timing import Spread
from mien.errors import InputError
from mien.hub import ONNX
from mien.recognizer import EmotionRecognizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def run_benchmark(
    photos: Sequence[str | Path],
    config: BenchmarkConfig | None = None,
    *,
    progress: Callable[[int], None] | None = None,
) -> BenchmarkReport:
    """Measures models on this machine; see :class:`BenchmarkConfig` for what and how often.

    The latency is that of the mixture of the photos, which show faces. ``progress`` is called with
    1 after each of :func:`steps` parts.
    """
    config = config or BenchmarkConfig()
    advance = progress or (lambda _done: None)
    files = [Path(photo) for photo in photos]
    if not files:
        raise InputError("no pictures: name at least one photo.")
    machine = describe_machine()
    options: dict[str, Any] = {"device": config.device}
    options |= {} if config.detector is None else {"detector": config.detector}
    given = [{"model": name, **options} for name in config.models or (None,)]
    recognizers = [EmotionRecognizer(**one) for one in given]
    shown = [recognizers[0].predict(file) for file in files]
    latencies = measure_photos(recognizers, files, config)
    advance(1)
    speeds = measure_throughput(recognizers, config)
    advance(1)
    figures = []
    for one, recognizer, latency, speed in zip(given, recognizers, latencies, speeds, strict=True):
        overhead = measure_overhead(recognizer, config)
        advance(1)
        start_s, peak_mb = _fresh(files[0], one, config.starts)
        advance(1)
        model = str(one["model"] or recognizer.config.name)
        detector = recognizer.pipeline.detector.name
        size = recognizer.folder.file(ONNX).stat().st_size
        figures.append(
            ModelFigures(model, detector, size, latency, speed, overhead, start_s, peak_mb)
        )
    found = [
        {"name": file.name, "width": one.width, "height": one.height, "faces": len(one.faces)}
        for file, one in zip(files, shown, strict=True)
    ]
    return BenchmarkReport(machine, config, found, figures)


def steps(config: BenchmarkConfig) -> int:
    """Returns how many parts :func:`run_benchmark` reports."""
    return 2 + 2 * max(len(config.models), 1)


def _fresh(
    photo: Path, options: dict[str, Any], starts: int
) -> tuple[Spread | None, Spread | None]:
    """Starts fresh processes; the first, which may still read from the disk, does not count."""
    if not starts:
        return None, None
    runs = [first_answer(photo, options) for _ in range(starts + 1)][1:]
    peaks = [run.peak_bytes / 1e6 for run in runs if run.peak_bytes is not None]
    return Spread.of(run.start_s for run in runs), Spread.of(peaks) if peaks else None
