"""The notebooks run from top to bottom, on small data; the outputs they are committed with."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mien import EmotionRecognizer
from support import ROOT
from support.faces import write_folder

NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))

#: Cells whose pictures were viewed: charts, drawings and the astronaut, no face of a dataset.
PICTURES = {
    "make": {"code-07", "code-09"},
    "techniques": {
        "d417c132", "5d1c0f2a", "db549747", "713b1e1a", "a6364061", "c48cdc96", "95c877b1",
    },
    "use": {"code-04", "code-10", "code-12"},
}  # fmt: skip
#: Paths of a machine, warnings, bars that write over themselves, colours of a terminal.
LITTER = re.compile(r"(?<![\w.])/(home|tmp|root|work|Users|var)/|[Ww]arning:|\r|\x1b\[|it/s\]")


def _text(out: dict[str, Any]) -> str:
    data = [lines for kind, lines in out.get("data", {}).items() if kind.startswith("text/")]
    return "".join(line for lines in (out.get("text", []), *data) for line in lines)


def _cells(path: Path, kind: str) -> list[dict[str, Any]]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == kind]


Run = Callable[..., tuple[str, int]]

#: A dozen trainings, for minutes.
_WHOLE = pytest.mark.skipif(
    not os.environ.get("MIEN_NOTEBOOKS"), reason="needs scripts/test --notebooks"
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a notebook and returns what its cells printed, and how many pictures they show."""
    nbformat = pytest.importorskip("nbformat", reason="needs nbclient")
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient")
    pytest.importorskip("ipykernel", reason="needs ipykernel")
    spec = tmp_path / "kernels" / "mien-test"
    spec.mkdir(parents=True)
    # The kernel of this interpreter, not one that a user has installed.
    (spec / "kernel.json").write_text(
        json.dumps({
            "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": "test", "language": "python",
        })
    )  # fmt: skip
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("MIEN_WORK", str(tmp_path / "work"))

    def execute(name: str, *, place: Path = tmp_path, **environment: str) -> tuple[str, int]:
        for key, value in environment.items():
            monkeypatch.setenv(key, value)
        notebook = nbformat.read(ROOT / "examples" / "notebooks" / name, as_version=4)
        nbformat.validate(notebook)
        client = nbclient.NotebookClient(
            notebook, timeout=1200, kernel_name="mien-test",
            resources={"metadata": {"path": str(place)}},
        )  # fmt: skip
        client.execute()
        outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
        streams = [out for out in outputs if out["output_type"] == "stream"]
        assert [out["text"] for out in streams if out["name"] != "stdout"] == []  # warnings
        printed = "".join(out["text"] for out in streams)
        markdown = "".join(out.get("data", {}).get("text/markdown", "") for out in outputs)
        pictures = sum("image/png" in out.get("data", {}) for out in outputs)
        return printed + markdown, pictures

    return execute


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_is_committed_as_it_ran(path: Path) -> None:
    cells = _cells(path, "code")
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert sum(bool(cell["outputs"]) for cell in cells) > len(cells) / 2
    assert _cells(path, "markdown")[0]["source"][0].startswith("# ")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_outputs_hold_no_path_warning_or_progress_bar(path: Path) -> None:
    assert os.fspath(ROOT) not in path.read_text(encoding="utf-8")
    for cell in _cells(path, "code"):
        for out in cell["outputs"]:
            assert out["output_type"] in {"stream", "display_data", "execute_result"}, cell["id"]
            assert out.get("name", "stdout") == "stdout", cell["id"]
            assert not LITTER.search(_text(out)), cell["id"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_pictures_stand_only_where_they_were_viewed(path: Path) -> None:
    cells = {cell["id"]: cell for cell in _cells(path, "code")}
    pictures = {
        name: [kind for out in cell["outputs"] for kind in out.get("data", {}) if "image" in kind]
        for name, cell in cells.items()
    }
    assert {name for name, kinds in pictures.items() if kinds} == PICTURES[path.stem]
    for name in PICTURES[path.stem]:
        assert cells[name]["metadata"]["tags"] in (["chart"], ["astronaut"])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_pages_that_a_notebook_names_are_there(path: Path) -> None:
    text = "".join("".join(cell["source"]) for cell in _cells(path, "markdown"))
    pages = re.findall(r"docs/[\w-]+\.md", text)
    assert pages
    assert [page for page in pages if not (ROOT / page).is_file()] == []


def test_there_are_three_notebooks() -> None:
    assert [path.name for path in NOTEBOOKS] == ["make.ipynb", "techniques.ipynb", "use.ipynb"]


def test_use_runs_and_reads_the_photo(run: Run) -> None:
    pytest.importorskip("scipy", reason="needs the extra video")
    printed, pictures = run("use.ipynb")
    assert "happiness 98.5%, box [" in printed
    assert "['happiness']\n[]\nerror: " in printed
    assert "(7, 8)" in printed
    assert "face 1, happiness" in printed
    scores = EmotionRecognizer().config.metrics["valid"]
    assert f"accuracy {scores['accuracy']:.1%} (95 % interval" in printed
    assert pictures == 4


def test_use_reads_a_folder_of_faces(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("scipy", reason="needs the extra video")
    folder = write_folder(tmp_path / "faces", 4) / "valid"
    printed, pictures = run("use.ipynb", MIEN_FACES=str(folder))
    assert "(12, 8)" in printed  # three labels, four faces each
    assert pictures == 4


def test_make_runs_and_learns(run: Run, tmp_path: Path) -> None:
    for needed in ("torch", "onnx", "matplotlib"):
        pytest.importorskip(needed, reason="needs the extra train")
    faces = write_folder(tmp_path / "faces", 60)
    printed, pictures = run("make.ipynb", MIEN_DATA=f"folder:{faces}", MIEN_EPOCHS="12")
    accuracy = float(printed.split("accuracy ")[1].split("%")[0])
    assert accuracy > 80  # chance is 33
    assert "int8-static" in printed
    assert "model.int8-static.onnx" in printed
    table = [line for line in printed.splitlines() if line.startswith("| ")]
    assert len(table) == 5  # a head and two runs; a head and the key in which they differ
    assert any("| cnn_simple |" in line for line in table)
    assert any("| lenet |" in line for line in table)
    assert pictures == 6  # mean faces, two curves, confusion, reliability, maps


#: Run before the first cell: the large networks, of which each export alone takes ten seconds,
#: have few layers, and what PyTorch does anew for each export is done once.
SHALLOW = f"""
import sys
sys.path.append({os.fspath(ROOT / "tests")!r})
import support.exporter_ready
from dataclasses import replace
from mien.models import model_spec, registry, resnet
resnet.DEPTHS["resnet34"] = (1, 1, 1, 1)
for name in ("mobilenet_v2", "efficientnet_b0", "vit_tiny"):
    registry._MODELS[name] = replace(model_spec("mienet_test"), name=name)
"""


def test_techniques_run_one_after_another(run: Run, tmp_path: Path) -> None:
    for needed in ("onnx", "matplotlib", "optuna"):
        pytest.importorskip(needed, reason="needs the extra train")
    faces = write_folder(tmp_path / "faces", 50)
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "shallow.py").write_text(SHALLOW)
    printed, pictures = run("techniques.ipynb", MIEN_DATA=f"folder:{faces}", MIEN_EPOCHS="1")
    for name in (
        "lenet", "cnn", "resnet34", "mobilenet_v2", "efficientnet_b0", "vit from scratch",
        "vit fine-tuned", "augmented", "stopped early",
    ):  # fmt: skip
        assert f"\n{name:<24} accuracy " in f"\n{printed}", name
    assert "class_weight=inverse" in printed
    assert "ensemble: accuracy" in printed
    assert "\nint8-static " in printed
    # Curves, augmentation, grid, feature maps, Grad-CAM, confusion, curves over each other.
    assert pictures == 7


WHOLE = {
    "use.ipynb": "calibration error",
    "make.ipynb": "int8-static",
    "techniques.ipynb": "class_weight",
}


@_WHOLE
@pytest.mark.parametrize("name", WHOLE)
def test_notebook_runs_whole_on_real_faces(run: Run, shared: Path, name: str) -> None:
    printed, _ = run(name, place=ROOT / "examples" / "notebooks")
    assert WHOLE[name] in printed
