"""Tables of measured figures say on which commit they were measured.

Below such a table, before the next heading, stands ``*Measured at `abc1234`.*``; with names in
parentheses, ``(detector, mienet_s.faces8)``, it is of networks in the package, and not older than
their weights; the detector's first network in other steps, with the same answers, is not newer.
``times of mienet_s.faces8`` is not older than the network's steps: other values in its weights take
the same time.
A table that only looks measured has ``<!-- table: nothing measured here -->`` above it.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mien.backends.session import import_onnxruntime
from support import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
#: Figures of a measurement: decimals, percentages, counts of thousands.
_FIGURE = re.compile(r"\d+\.\d|\d ?%|\d,\d{3}")
_MARK = re.compile(r"[Mm]easured at `([0-9a-f]{7,12})`(?: \(([^)]*)\))?")
_EXEMPT = "<!-- table: nothing measured here -->"


def measured_tables(text: str) -> list[tuple[str, str]]:
    """Returns the tables with three figures or more: the header, and what stands below it."""
    text = re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.DOTALL | re.MULTILINE)
    found = []
    for table in re.finditer(r"^\|.*\n\| ?-.*\n(?:\|.*\n?)+", text, re.MULTILINE):
        above, below = text[: table.start()].rstrip(), text[table.end() :]
        header, _, rows = table[0].split("\n", 2)
        if len(_FIGURE.findall(rows)) >= 3 and not above.endswith(_EXEMPT):
            found.append((header, re.split(r"^#", below, maxsplit=1, flags=re.MULTILINE)[0]))
    return found


MARKS = [
    (page.name, header, mark)
    for page in PAGES
    for header, below in measured_tables(page.read_text(encoding="utf-8"))
    for mark in [_MARK.search(below)]
]


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def history() -> None:
    """Skips where the whole history is not here."""
    if shutil.which("git") is None or _git("rev-parse", "--is-shallow-repository").stdout != (
        "false\n"
    ):
        pytest.skip("needs the repository with its history")
    if Path(_git("rev-parse", "--show-toplevel").stdout.strip()).resolve() != ROOT.resolve():
        pytest.skip("needs a repository of its own")


def test_a_measured_table_is_one_with_figures() -> None:
    table = "| a | b |\n|---|---|\n| 1.5 | 2 % |\n| 3,000 | x |\n"
    ((header, below),) = measured_tables(f"{table}\n*Measured at `abc1234` (detector).*\n## Next\n")
    assert (header, _MARK.search(below)[2]) == ("| a | b |", "detector")  # type: ignore[index]
    assert _MARK.search(measured_tables(f"{table}\n## Next\n\nMeasured at `abc1234`")[0][1]) is None
    assert not measured_tables(f"{_EXEMPT}\n\n{table}")
    assert not measured_tables(f"```text\n{table}```\n")
    assert not measured_tables("| a |\n|---|\n| 1.5 |\n| 2 |\n")


def test_every_measured_table_says_when() -> None:
    assert [(page, header) for page, header, mark in MARKS if mark is None] == []
    assert len(MARKS) >= 30


def cells(network: bytes) -> np.ndarray:
    """Returns what the detector's first network says of noise, one row for each cell (A, 15)."""
    session = import_onnxruntime().InferenceSession(network, providers=["CPUExecutionProvider"])
    (node,) = session.get_inputs()
    pixels = np.random.default_rng(0).integers(0, 256, (1, 480, 640, 3)).astype(np.uint8)
    if node.type == "tensor(float)":  # as it was before it took pixels as they are
        pixels = pixels.transpose(0, 3, 1, 2).astype(np.float32)
    (found,) = session.run(None, {node.name: pixels})
    return np.asarray(found[0].T if found.ndim == 3 else found)


def _blob(name: str) -> bytes:
    command = ["git", "-C", str(ROOT), "show", name]
    return subprocess.run(command, capture_output=True, check=True).stdout


def steps(network: bytes) -> list[object]:
    """Returns what takes a network's time: its operations, and type and shape of its weights."""
    import onnx

    graph = onnx.load_model_from_string(network).graph
    operations = [(node.op_type, *sorted(map(str, node.attribute))) for node in graph.node]
    return operations + [(value.data_type, *value.dims) for value in graph.initializer]


@functools.cache
def takes_as_long(folder: str, commit: str) -> bool:
    """Says whether the network of a folder did at a commit what it does now."""
    path = f"{folder}/model.onnx"
    return steps(_blob(f"{commit}:{path}")) == steps((ROOT / path).read_bytes())


@functools.cache
def newest_weights(folder: str) -> str:
    """Returns the newest commit that changed what the networks of a folder answer."""
    # The detector's third network places landmarks alone: no box or score is of it.
    weights = [f"{folder}/*.onnx", f"{folder}/*.safetensors", f":!{folder}/landmarks.onnx"]
    for commit in _git("log", "--format=%H", "--", *weights).stdout.split():
        changed = _git("diff", "--name-only", f"{commit}^", commit, "--", *weights).stdout.split()
        if changed != ["src/mien/assets/detector/detector.onnx"]:
            return commit
        before, after = (cells(_blob(f"{at}:{changed[0]}")) for at in (f"{commit}^", commit))
        if before.shape != after.shape or np.abs(before - after).max() > 1e-4:
            return commit
    return ""


@pytest.mark.usefixtures("history")
def test_the_commits_are_there_and_not_older_than_the_weights() -> None:
    for page, header, mark in MARKS:
        assert mark is not None, (page, header)
        commit = mark[1]
        assert _git("merge-base", "--is-ancestor", commit, "HEAD").returncode == 0, (page, commit)
        for name in filter(None, (mark[2] or "").split(", ")):
            if name.startswith("times of "):
                folder = f"src/mien/assets/{name.removeprefix('times of ')}"
                assert takes_as_long(folder, commit), f"{page}: {header} is older than {name}"
                continue
            newest = newest_weights(f"src/mien/assets/{name}")
            assert newest, (page, name)
            done = _git("merge-base", "--is-ancestor", newest, commit)
            assert done.returncode == 0, f"{page}: {header} is older than {name}"
