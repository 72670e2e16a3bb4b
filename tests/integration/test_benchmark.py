from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mien.benchmarking import (
    BenchmarkConfig,
    BenchmarkReport,
    measuring,
    run_benchmark,
)
from mien.benchmarking.processes import peak_bytes, run_fresh
from mien.cli.sources import SAMPLE
from mien.errors import ConfigError
from mien.reporting.pages import write_report

QUICK = BenchmarkConfig(
    batch_sizes=(1, 4), threads=(1,), repeats=4, rounds=3, starts=1, warm_up=1
)  # fmt: skip


@pytest.fixture(scope="module")
def report() -> BenchmarkReport:
    return run_benchmark([SAMPLE], QUICK)


def test_stages_add_up_to_the_whole(report: BenchmarkReport) -> None:
    (figures,) = report.models
    stages = figures.photo_ms
    assert set(stages) == {"total", *measuring.STAGES}
    assert all(spread.n == 4 and spread.least > 0 for spread in stages.values())
    inside = sum(stages[name].least for name in ("decode", "detect", "crop", "inference"))
    assert inside <= stages["total"].most
    assert report.photos == [{"name": "astronaut.jpg", "width": 512, "height": 512, "faces": 1}]


def test_every_pair_of_threads_and_batch_is_measured(report: BenchmarkReport) -> None:
    (figures,) = report.models
    pairs = [(row["threads"], row["batch_size"]) for row in figures.throughput]
    assert pairs == [(1, 1), (1, 4)]
    assert all(row["crops_per_second"].least > 1 for row in figures.throughput)
    assert [row["batch_size"] for row in figures.overhead] == [1, 4]
    assert all(0 < row["ratio"].median < 3 for row in figures.overhead)


def test_fresh_process_needs_its_own_time_and_memory(report: BenchmarkReport) -> None:
    (figures,) = report.models
    assert figures.start_s is not None
    assert figures.peak_mb is not None
    assert figures.start_s.median > 0.05
    # An interpreter with numpy and ONNX Runtime, and not a process with torch in it.
    assert 30 < figures.peak_mb.median < 500


def test_peak_is_that_of_the_process_not_of_its_parent() -> None:
    held = np.ones(60_000_000 // 8)
    program = "from mien.benchmarking.processes import peak_bytes; print(1); print(peak_bytes())"
    child = run_fresh([sys.executable, "-c", program])
    big = run_fresh([sys.executable, "-c", "x = bytearray(400_000_000);" + program])
    own = peak_bytes()
    assert own is not None
    assert child.peak_bytes is not None
    assert big.peak_bytes is not None
    assert own > held.nbytes
    assert child.answer == "1"
    assert big.peak_bytes - child.peak_bytes == pytest.approx(400e6, rel=0.05)


def test_report_is_written_in_every_form(report: BenchmarkReport, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("r.md", "r.json", "r.html"):
        write_report(report, tmp_path / name)
    value = json.loads((tmp_path / "r.json").read_text())
    assert value["format"] == 1
    assert BenchmarkReport.from_dict(value).to_dict() == value
    with pytest.raises(ConfigError, match="format 2"):
        BenchmarkReport.from_dict({**value, "format": 2})
    assert value["settings"]["batch_sizes"] == [1, 4]
    spread = report.models[0].photo_ms["total"]
    assert value["models"][0]["photo_ms"]["total"] == spread.to_dict()
    text = (tmp_path / "r.md").read_text()
    assert spread.text() in text
    assert "quartiles in brackets: 4 photos, 3 turns" in text
    assert "data:image/png" in (tmp_path / "r.html").read_text()
    with pytest.raises(ConfigError, match="must end in"):
        write_report(report, tmp_path / "r.txt")


def test_picture_says_which_extra_it_needs() -> None:
    program = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from mien.cli import main\n"
        "main(['benchmark', '--repeats', '1', '--rounds', '1', '--starts', '0',"
        " '--batch-sizes', '1', '--threads', '1', '--picture', 'p.png'])"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'pip install "mien[eval]"' in done.stderr
