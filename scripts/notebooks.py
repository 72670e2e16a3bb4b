"""Runs the notebooks and keeps what their cells printed: ``python scripts/notebooks.py``.

    python scripts/notebooks.py                  all of them
    python scripts/notebooks.py use make         some of them

Pictures stay where a cell has the tag ``chart`` or ``astronaut``: what else is drawn may show faces
of a dataset, and a line stands in its place. A warning, a progress bar or a path of this machine in
an output is an error, and the file stays as it was. Without MIEN_DATA, the faces are those of
``../shared``.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "examples" / "notebooks"
#: Tags of cells whose pictures show no face of a dataset.
SHOWN = {"chart", "astronaut"}
#: What no output may hold: paths of a machine, warnings, progress bars, colours of a terminal.
LITTER = re.compile(r"(?<![\w.])/(?:home|tmp|root|work|Users|var)/|[Ww]arning:|\r|\x1b\[|it/s\]")
LEFT_OUT = "a picture of faces of the dataset, which is not kept here: run the notebook to see it"


def cleaned(out: Any, *, shown: bool) -> Any:
    """Returns an output with at most one picture: the smaller one of PNG and JPEG, or none."""
    pictures = [kind for kind in out.get("data", {}) if kind.startswith("image/")]
    pictures.sort(key=lambda kind: len(out.data[kind]))
    for kind in pictures[1:] if shown else pictures:
        del out.data[kind]
    if pictures and not shown:
        out.data["text/plain"] = LEFT_OUT
    return out


def clean(notebook: Any) -> list[str]:
    """Cleans a notebook that ran, and returns what its outputs may not hold."""
    found = []
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for out in cell.get("outputs", ()):
            cleaned(out, shown=bool(SHOWN & set(cell.metadata.get("tags", ()))))
            data = [text for kind, text in out.get("data", {}).items() if kind.startswith("text/")]
            text = "".join((out.get("text", ""), *data))
            found += [f"{cell.id}: {text[:200]!r}"] * bool(LITTER.search(text))
    notebook.metadata.language_info = {"name": "python"}
    return found


def run(path: Path) -> None:
    """Runs a notebook from top to bottom, and writes it back with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    place = {"metadata": {"path": os.fspath(path.parent)}}
    NotebookClient(notebook, timeout=1800, resources=place).execute()
    if found := clean(notebook):
        sys.exit(f"error: {path.name} prints what may not be kept:\n" + "\n".join(found))
    nbformat.write(notebook, path)


def main() -> None:
    """Runs the notebooks that are named."""
    parser = argparse.ArgumentParser(description="Run the notebooks and keep what they print.")
    names = [path.stem for path in sorted(FOLDER.glob("*.ipynb"))]
    parser.add_argument("names", nargs="*", default=names, help=", ".join(names))
    for name in parser.parse_args().names:
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        with tempfile.TemporaryDirectory() as work:
            os.environ["MIEN_WORK"] = work
            run(FOLDER / f"{name}.ipynb")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        print(f"{name}: {time.perf_counter() - start:.0f} s, {cpu_s:.0f} s of CPU time", flush=True)


if __name__ == "__main__":
    main()
