"""The same training in mien, Keras 3, fastai and Ultralytics, one after another.

Usage: ``python benchmarks/peers/train.py --data ferplus:DIR --page docs/frameworks.md``. Each
program of ``training/`` runs in an environment of its own, which is made by uv in ``--work``
(``out/peers``), kept for the next run, and takes about 6 GB. The page's table and programs are
renewed. ``--faces 170 --rounds 0`` tries it small, ``--only mien,fastai`` leaves tools out.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shutil
import subprocess
import time
import tokenize
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from environments import build_wheel, make_environment, run, versions

from mien.atomic import write_text
from mien.benchmarking.machine import describe_machine, machine_line
from mien.data import read_manifest
from mien.data.writers.files import write_folder
from mien.reporting.text import markdown_table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PROGRAMS = HERE / "training"
#: What is measured, by the name of its stamp.
STAMPS = {"first_step": "first step, s", "trained": "trained, s", "whole": "whole program, s"}
_PART = re.compile(r"(<!-- (table|programs): [^>]* -->\n).*?(\n<!-- end -->)", re.DOTALL)


def main() -> None:
    given = _arguments()
    tools = tomllib.loads((HERE / "peers.toml").read_text())["training"]
    if given.only:
        tools = {name: tools[name] for name in given.only.split(",")}
    work = given.work.resolve()
    pythons = {name: _environment(name, entry, work) for name, entry in tools.items()}
    faces = work / "training" / f"faces{given.faces}"
    if not faces.exists():
        write_faces(given.data, given.faces, faces)
    began, machine = time.perf_counter(), describe_machine()
    starts: dict[str, list[list[float]]] = {name: [] for name in tools}
    for number in range(given.rounds + 1 if given.rounds else 0):  # the first one warms files up
        for name, python in pythons.items():
            found = measure(name, python, faces, work, until="first_step")["first_step"]
            print(f"start {number} {name}: {found[0]:.2f} s, {found[1]:.2f} s of CPU", flush=True)
            starts[name] += [found] * bool(number)
    rows = {}
    for name, python in pythons.items():
        stamps = measure(name, python, faces, work)
        stamps["first_step"] = min([*starts[name], stamps["first_step"]])
        told = ", ".join(
            f"{key} {wall:.1f} s ({cpu:.1f} CPU)" for key, (wall, cpu) in stamps.items()
        )
        print(f"{name}: {told}", flush=True)
        rows[name] = {
            "stamps": stamps,
            "lines": logical_lines(_program(name).read_text()),
            "versions": versions(python, (name, "torch")),
        }
    commit = run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]).strip()
    value = {"kind": "training", "commit": commit, "faces": given.faces, "rounds": given.rounds,
             "machine": machine, "tools": rows}  # fmt: skip
    print(f"\n{report(value)}\n\n{(time.perf_counter() - began) / 60:.1f} minutes")
    if given.output:
        write_text(given.output, json.dumps(value, indent=2) + "\n")
    if given.page:
        write_text(given.page, renew(given.page.read_text(), report(value)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="labelled faces, ferplus:DIR")
    parser.add_argument("--faces", type=int, default=3000, help="a fifth of them validates")
    parser.add_argument("--rounds", type=int, default=2, help="starts per tool besides")
    parser.add_argument("--only", help="names of tools, with commas")
    parser.add_argument("--work", type=Path, default=ROOT / "out" / "peers")
    parser.add_argument("--page", type=Path, help="renew its table and its programs")
    parser.add_argument("-o", "--output", type=Path, help="write the figures as JSON")
    return parser.parse_args()


def _environment(name: str, entry: dict[str, Any], work: Path) -> Path:
    wanted = list(entry["install"])
    if name == "mien":
        wanted.append(f"mien[train] @ {build_wheel(ROOT, work / 'dist').as_uri()}")
    print(f"environment of {name}: {' '.join(wanted)}", flush=True)
    return make_environment(work / f"training-{name}", wanted)


def _program(name: str) -> Path:
    return PROGRAMS / f"with_{name}.py"


def write_faces(data: str, count: int, folder: Path) -> None:
    """Writes faces by share of class as ``{train,valid}/LABEL/*``, a fifth of them valid."""
    from mien.training.data.faces import limit_faces

    manifest = read_manifest(f"{data},mode=majority")
    parts = {"train": count - count // 5, "valid": count // 5}
    keys = set()
    for split, wanted in parts.items():
        part = limit_faces(manifest.split(split).with_labels(), wanted, seed=0)
        keys |= {part.images.key(at) for at in range(len(part))}
    kept = [at for at in range(len(manifest)) if manifest.images.key(at) in keys]
    folder.parent.mkdir(parents=True, exist_ok=True)
    write_folder(manifest.select(np.array(kept)), folder)
    # The votes that only mien would read.
    (folder / "metadata.csv").unlink()


def measure(
    name: str, python: Path, faces: Path, work: Path, *, until: str = "whole"
) -> dict[str, list[float]]:
    """Runs a program in an empty folder; returns wall and CPU seconds of its stamps."""
    folder = work / "training" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "faces").symlink_to(faces)
    shutil.copy(PROGRAMS / "resnet18-cls.yaml", folder)
    command = [str(python), str(PROGRAMS / "measure.py"), str(_program(name)), "stamps.json", until]
    # Neither another tree nor a ban on compiled files, which each import would pay for.
    settings = {k: value for k, value in os.environ.items() if not k.startswith("PYTHON")}
    with (folder / "log.txt").open("w") as log:
        done = subprocess.run(
            [*command, str(time.time())],
            cwd=folder, env=settings, stdout=log, stderr=log, check=False,
        )  # fmt: skip
    stamps = folder / "stamps.json"
    if done.returncode or not stamps.is_file():
        raise SystemExit(f"{name} failed ({done.returncode}): see {folder / 'log.txt'}")
    found: dict[str, list[float]] = json.loads(stamps.read_text())
    return found


def logical_lines(source: str) -> int:
    """Returns how many lines a program has; a call that spans several is one, its docstring none.

    >>> logical_lines('"What it does."\\n\\nimport os\\nprint(\\n    1,\\n)  # said\\n')
    2
    """
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    ends = sum(token.type == tokenize.NEWLINE for token in tokens)
    return ends - source.lstrip().startswith(('"', "'"))


def report(value: dict[str, Any]) -> str:
    """Returns the table, what it was aimed at, and how it was measured."""
    tools = value["tools"]
    rows = [
        [name, *(f"{row['stamps'][key][0]:.1f}" for key in STAMPS), str(row["lines"])]
        for name, row in tools.items()
    ]
    table = markdown_table(["", *STAMPS.values(), "lines"], rows)
    shown = "; ".join(
        ", ".join(f"{package} {number}" for package, number in row["versions"].items())
        for row in tools.values()
    )
    return (
        f"{table}\n\n{targets(tools)}\n\n{value['faces']:,} faces, a fifth of them for validation. "
        f"First step: the best of {value['rounds'] + 1} fresh processes; the rest of one. Measured "
        f"at `{value['commit']}`. {shown}.\n\n*{machine_line(value['machine'])}*"
    )


def targets(tools: dict[str, Any]) -> str:
    """Says whether mien takes at most half of the slowest, is quickest, and has fewest lines."""
    others = [row for name, row in tools.items() if name != "mien"]
    if "mien" not in tools or not others:
        return ""
    said, own = [], tools["mien"]
    for key in ("first_step", "trained"):
        mine, walls = own["stamps"][key][0], [row["stamps"][key][0] for row in others]
        is_met = mine <= min(walls) and mine <= max(walls) / 2
        said.append(
            f"{STAMPS[key].removesuffix(', s')}: {mine / min(walls):.2f} of the quickest other, "
            f"{mine / max(walls):.2f} of the slowest ({'met' if is_met else 'missed'})"
        )
    fewest = min(row["lines"] for row in others)
    said.append(
        f"lines: {own['lines']} against {fewest} ({'met' if own['lines'] < fewest else 'missed'})"
    )
    return "Aimed at: not above the quickest, at most half of the slowest, fewest lines. " + (
        "Found: " + "; ".join(said) + "."
    )


def programs() -> str:
    """Returns the programs as they are, a block for each."""
    parts = []
    for name in tomllib.loads((HERE / "peers.toml").read_text())["training"]:
        source = _program(name).read_text()
        mark = "<!-- block: needs the tool and a folder of faces -->"
        parts.append(f"### {name}: {logical_lines(source)} lines\n\n{mark}\n```python\n{source}```")
    return "\n\n".join(parts)


def renew(page: str, table: str | None = None) -> str:
    """Returns the page with its programs renewed, and its table where one is given."""
    fresh = {"programs": programs(), "table": table}

    def put(found: re.Match[str]) -> str:
        text = fresh[found[2]]
        return found[0] if text is None else f"{found[1]}{text}{found[3]}"

    return _PART.sub(put, page)


if __name__ == "__main__":
    main()
