"""``examples/clips/compare.py``: each person counts once."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from support import ROOT

MODULE = runpy.run_path(str(ROOT / "examples" / "clips" / "compare.py"))


def test_a_person_counts_once_and_an_empty_clip_is_counted(tmp_path: Path) -> None:
    table = tmp_path / "clips.csv"
    rows = ["p1_a_0,happiness,0.2", "p1_a_0,happiness,0.4", "p1_a_1,anger,0.9", "p1_b_0,,"]
    table.write_text("source,emotion,p_happiness\n" + "\n".join(rows))
    means, empty = MODULE["person_means"](
        table, "happiness", re.compile(r"(p\d)"), re.compile("_([ab])")
    )
    assert (means, empty) == ({("p1", "a"): pytest.approx(0.6)}, 1)


def test_interval_and_p_of_equal_differences_are_exact() -> None:
    low, high, p = MODULE["compare"](np.full(10, 0.25))
    # Of 1,024 sign patterns two are as extreme.
    assert (low, high) == (0.25, 0.25)
    assert p == pytest.approx(2 / 1024, abs=0.002)


def test_one_person_has_no_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "clips.csv"
    table.write_text("source,emotion,p_happiness\np1_a,happiness,0.2\np1_b,happiness,0.4\n")
    names = ["--person", r"(p\d)", "--condition", "_([ab])"]
    monkeypatch.setattr("sys.argv", ["compare.py", str(table), *names])
    with pytest.raises(SystemExit, match="two people with both conditions are needed, not 1"):
        MODULE["main"]()
