from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.benchmarking import (
    BenchmarkConfig,
    Spread,
    processes,
    run_benchmark,
)
from mien.benchmarking import machine as machine_module
from mien.benchmarking.processes import first_answer, run_fresh
from mien.benchmarking.timing import times_in_turns
from mien.cli import main
from mien.cli.sources import SAMPLE
from mien.errors import ConfigError, InputError, ModelError
from mien.images import decode

QUICK = BenchmarkConfig(
    batch_sizes=(1, 4), threads=(1,), repeats=4, rounds=3, starts=1, warm_up=1
)  # fmt: skip


def test_spread_by_hand() -> None:
    spread = Spread.of([10, 20, 30, 40, 50])
    assert (spread.n, spread.low, spread.median, spread.high) == (5, 20, 30, 40)
    # Linear between neighbours: 0.95 * 4 = 3.8 steps from the first.
    assert spread.p95 == pytest.approx(48)
    assert spread.p99 == pytest.approx(49.6)
    assert (spread.least, spread.most) == (10, 50)
    assert spread.text(0) == "30 (20 to 40)"
    assert spread.to_dict()["p99"] == 49.6


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_spread_of_nothing_is_refused(values: list[float]) -> None:
    with pytest.raises(ConfigError, match="finite"):
        Spread.of(values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"batch_sizes": ()}, "--batch-sizes"),
        ({"batch_sizes": (0, 1)}, "batch_sizes must be at least 1"),
        ({"threads": (2, 2)}, "--threads"),
        ({"repeats": 0}, "repeats must be at least 1"),
        ({"starts": -1}, "starts must be at least 0"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        BenchmarkConfig(**values)  # type: ignore[arg-type]


def test_turns_are_taken_and_warm_ups_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    runs = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    times = times_in_turns(runs, 3, warm_up=2)
    assert calls == ["a", "b"] * 5
    assert {name: len(values) for name, values in times.items()} == {"a": 3, "b": 3}


@pytest.mark.parametrize(("platform", "factor"), [("linux", 1024), ("darwin", 1)])
def test_units_of_rusage(monkeypatch: pytest.MonkeyPatch, platform: str, factor: int) -> None:
    usage = types.SimpleNamespace(ru_maxrss=5000)
    module = types.SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda _who: usage)
    monkeypatch.setitem(sys.modules, "resource", module)
    monkeypatch.setattr(sys, "platform", platform)
    assert processes._rusage_peak() == 5000 * factor


@pytest.mark.parametrize("program", ["raise SystemExit('gone wrong')", "print(1); print('many')"])
def test_fresh_process_that_fails_is_an_error(program: str) -> None:
    with pytest.raises(ModelError, match="fresh process failed"):
        run_fresh([sys.executable, "-c", program])
    with pytest.raises(ModelError, match="neither a folder"):
        first_answer(SAMPLE, {"model": "no-such-model"})


def test_fresh_processes_use_the_device_and_detector_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def fresh(command: list[str]) -> processes.FreshProcess:
        commands.append(command)
        return processes.FreshProcess(0.1, None, "1")

    monkeypatch.setattr(processes, "run_fresh", fresh)
    values: dict[str, Any] = {
        "repeats": 1, "rounds": 1, "batch_sizes": (1,), "threads": (1,), "starts": 1,
    }  # fmt: skip
    face = tmp_path / "face.png"
    Image.fromarray(decode(SAMPLE)[16:216, 126:326]).save(face)
    run_benchmark([face], BenchmarkConfig(device="cpu", detector="haar", **values))
    assert [json.loads(command[-1]) for command in commands] == [
        {"model": None, "device": "cpu", "detector": "haar"}
    ] * 2


def test_machine_is_described() -> None:
    machine = machine_module.describe_machine()
    assert machine["cores"] >= 1
    assert machine["packages"]["onnxruntime"]
    assert machine["packages"]["numpy"] == np.__version__
    assert "Python" in machine_module.machine_line(machine)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"flags": "fpu avx2 avx512f avx512_vnni avx_vnni"}, ["AVX2", "AVX-512", "VNNI"]),
        ({"flags": "fpu amx_tile amx_int8"}, ["AMX"]),
        ({"Features": "fp asimd asimddp"}, ["NEON", "dot product"]),
        ({"flags": "fpu sse2"}, []),
        ({}, None),
    ],
)
def test_instructions_are_named(facts: dict[str, str], expected: list[str] | None) -> None:
    assert machine_module._instructions(facts) == expected


def test_no_photo_is_refused() -> None:
    with pytest.raises(InputError, match="at least one photo"):
        run_benchmark([], QUICK)


def test_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--batch-sizes", "2", "--threads", "1", "--repeats", "2", "--rounds", "1"]
    target = tmp_path / "b.json"
    with pytest.raises(SystemExit) as stop:
        main(["benchmark", *options, "--starts", "0", "--format", "json", "-o", str(target)])
    assert stop.value.code == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(target.read_text())
    assert printed["models"][0]["start_s"] is None
    with pytest.raises(SystemExit) as stop:
        main(["benchmark", *options, "-o", str(target)])
    assert stop.value.code == 2
    with pytest.raises(SystemExit) as stop:
        main(["benchmark", "--batch-sizes", "1,x"])
    assert stop.value.code == 2
    assert "--batch-sizes must be a whole number; got 'x'" in capsys.readouterr().err
