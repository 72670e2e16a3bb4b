"""The page of measured figures, made from JSON files and nothing else.

Usage: ``python benchmarks/peers/page.py BENCHMARK.json PEERS.json FOLDER.json
-o docs/benchmarks.md``. The files are those of ``mien benchmark -o``, ``benchmarks/peers/run.py``
and ``benchmarks/predict_folder.py -o``; in any order, each at most once. The picture
goes to ``images/benchmarks.png`` next to the page.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

from mien.atomic import write_text
from mien.benchmarking.machine import machine_line
from mien.benchmarking.report import BenchmarkReport
from mien.reporting.theme import save_figure

HEAD = """# Benchmarks

Every figure on this page was measured in one session on the machine named below it and written
here by `benchmarks/peers/page.py`; none is copied from elsewhere. A figure is a median, and the
quartiles stand in brackets behind it. Other machines give other milliseconds: the ratios travel
better. What the forms of the bundled model weigh and cost stands in [Export](export.md). To measure
yours:

<!-- block: needs some minutes -->
```bash
mien benchmark -o benchmark.json --picture stages.png
```
"""
AGAIN = """## Again, on this machine

<!-- block: needs the data folder, the network for packages, and half an hour -->
```bash
mien benchmark PHOTOS -o benchmark.json
python benchmarks/predict_folder.py PHOTOS/*.jpg -o folder.json
python benchmarks/peers/run.py --photos PHOTOS --faces ferplus:DIR -o peers.json
python benchmarks/peers/page.py benchmark.json folder.json peers.json -o docs/benchmarks.md
```
"""
NAMES = {"start": "first answer", "photo": "a photo", "crop": "a ready crop", "peak": "memory"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--commit", help="what was measured; by default the present one")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    values = read(given.files)
    commit = given.commit or present_commit()
    (given.output.parent / "images").mkdir(parents=True, exist_ok=True)
    if "mien benchmark" in values:
        report = BenchmarkReport.from_dict(values["mien benchmark"])
        save_figure(report.plot(), given.output.parent / "images" / "benchmarks.png")
    write_text(given.output, page(values, commit))
    print(f"wrote {given.output}")


def read(files: list[Path]) -> dict[str, Any]:
    """Returns the files' content by kind."""
    values: dict[str, Any] = {}
    for file in files:
        value = json.loads(file.read_text(encoding="utf-8"))
        kind = value["kind"]
        if kind in values:
            raise SystemExit(f"{file} is a second file of kind {kind!r}: give one of each")
        values[kind] = value
    return values


def present_commit() -> str:
    """Returns the commit of this repository, seven digits."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short=7", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def page(values: dict[str, Any], commit: str) -> str:
    """Returns the page, a section for each kind of file that is there."""
    parts = [HEAD]
    measured = f"\n*Measured at `{commit}` (detector, mienet_s.faces8).*\n"
    for kind, section in (
        ("mien benchmark", photo_section), ("folder", folder_section), ("peers", peers_section),
    ):  # fmt: skip
        if kind in values:
            parts.append(section(values[kind]) + measured)
    return "\n".join([*parts, AGAIN])


def photo_section(value: dict[str, Any]) -> str:
    report = BenchmarkReport.from_dict(value)
    tables = [f"**{title}**\n\n{table(header, rows)}" for title, header, rows in report.tables()]
    picture = "![Milliseconds of each stage of a photo](images/benchmarks.png)"
    return section("mien alone", tables[0], picture, *tables[1:], report.note,
                   machine(report.machine))  # fmt: skip


def folder_section(value: dict[str, Any]) -> str:
    settings, stages = value["settings"], value["stages_ms"]
    rows = [
        ["the stages' bound", spread(value["bound_per_second"]), "1"],
        ["bare calls in threads", spread(value["bare_per_second"]), ""],
        ["`predict_many`", spread(value["mien_per_second"]), spread(value["mien_of_bound"], 3)],
    ]
    held = ", ".join(f"{mb:.0f} MB after {n}" for n, mb in value["memory_mb"].items())
    cpu = value["cpu_ms"]
    return section(
        "A folder of photos",
        table(("", "pictures/s", "share of the bound"), rows),
        "The bound is the number of cores over the sum of the stages, each on one thread, alone: "
        + ", ".join(f"{name} {spread(entry, 2)} ms" for name, entry in stages.items())
        + f". CPU time per picture: {spread(cpu['mien'])} ms, of the stages alone "
        f"{spread(cpu['stages'])} ms; {spread(value['busy_cores'], 2)} cores were busy.",
        f"Memory held by a process that reads 2,000 photos: {held or 'not measured'}.",
        f"{settings['pictures']} pictures per turn from {', '.join(value['photos'])}, "
        f"{value['faces']} faces, {settings['rounds']} turns. Large JPEG files are decoded at "
        "reduced size where that loses no pixel that detector or network would see.",
        machine(value["machine"]),
    )


def peers_section(value: dict[str, Any]) -> str:
    rows, notes = [], []
    for name, peer in value["peers"].items():
        standin = peer.get("standin")
        disk = f"{peer['disk_mb']:,.0f}"
        title = f"{name}\\*" if standin else name
        rows.append([title, disk, spread(peer["start_s"], 2), spread(peer["photo_ms"]),
                     spread(peer["crops_per_second"], 0), spread(peer["peak_mb"], 0)])  # fmt: skip
        if standin:
            notes.append(
                f"- {name}\\*: {standin['what']}; {standin['parameters'] / 1e6:.1f} million "
                f"parameters, {standin['bytes'] / 1e6:.0f} MB. {package_note(peer)}"
            )
    header = ("", "disk, MB", "first answer, s", "a photo, ms", "crops/s", "peak, MB")
    settings, photo = value["settings"], value["photo"]
    parts = [
        table(header, rows),
        "A star marks a **stand-in: a network of that size with random weights**, because the "
        "tool's package brings no weights, and they could not be fetched. It runs in mien's "
        "environment behind mien's detector, so it says what the network alone costs, nothing of "
        "the tool around it, and nothing of its accuracy:\n\n" + "\n".join(notes)
        if notes
        else "",
        ratio_table(value["ratios"]),
        (
            f"Each tool ran in its own environment in {settings['turns']} turns (one after the "
            "other, then again), after one that does not count. A turn is a fresh process to the "
            f"first answer, then twenty photos for its peak; and another for {settings['repeats']} "
            f"photos and for calls with {settings['crops']} ready faces. The photo is "
            f"{photo['width']}x{photo['height']} with one face, made of {photo['source']}."
        ),
        fer_notes(value),
        accuracy_part(value["accuracy"]),
        machine(value["machine"]),
    ]
    return section("Comparison with other tools", *[part for part in parts if part])


def package_note(peer: dict[str, Any]) -> str:
    """Returns what is known of a stand-in's own package."""
    took = f"takes {spread(peer['import_s'], 2)} s to import" if "import_s" in peer else (
        f"cannot be imported ({peer['import_error']})"
    )  # fmt: skip
    return f"Its package, `{' '.join(peer['install'])}`, {took}; disk is that of its environment."


def ratio_table(ratios: dict[str, Any]) -> str:
    rows = [[name, *(spread(found[key], 3) for key in NAMES)] for name, found in ratios.items()]
    title = "**mien's cost as a share of the other's, turn by turn; below 1 mien needs less**\n\n"
    return title + table(("compared with", *NAMES.values()), rows) if rows else ""


def fer_notes(value: dict[str, Any]) -> str:
    fer = value["peers"].get("fer")
    if fer is None:
        return ""
    versions = ", ".join(f"{name} {number}" for name, number in fer["versions"].items())
    aims = [
        f"- {entry['what']}: {entry['found']:g} (aim: {entry['aim']}, "
        f"{'met' if entry['met'] else 'missed'})"
        for entry in value["targets"]
    ]
    return (
        "`pip install fer` as it is today fails at its import: it asks for `pkg_resources`, which "
        "setuptools no longer brings from version 80, and OpenCV 5 has no Haar cascade. It was "
        f"installed as `{' '.join(fer['install'])}` ({versions}) and ran with its own defaults, "
        "the Haar cascade and the TensorFlow Lite model. Comparable are photo to answer, start, "
        "memory and disk; not comparable are the detectors, of which mien's also finds turned and "
        "small faces, and mien's landmarks, which fer has not. Of fer's disk space "
        f"{fer['disk_mb'] - fer['disk_mb_without_optional']:,.0f} MB are torch and GPU libraries, "
        "which its default does not use but its installation brings; without them it takes "
        f"{fer['disk_mb_without_optional']:,.0f} MB.\n\nWhat was aimed at, and found:\n\n"
        + "\n".join(aims)
    )


def accuracy_part(value: dict[str, Any] | None) -> str:
    if value is None:
        return ""
    rows = [
        [name, percent(tool["accuracy"], tool["accuracy_ci"]),
         *(f"{100 * share:.0f}" for share in tool["recall"].values())]
        for name, tool in value["tools"].items()
    ]  # fmt: skip
    first = next(iter(value["tools"].values()))
    low, high = value["difference_ci"]
    return (
        f"**Accuracy on the same {value['faces']:,} faces of {value['data']} {value['split']}, %**"
        "\n\n" + table(("", "accuracy (95 %)", *first["recall"]), rows) + "\n\n"
        "The label of a face is the emotion that most of its raters chose; faces without a "
        "majority, and those called contempt, for which fer has no class, are left out. mien "
        "answers in the seven classes too, what it gives to contempt going to the others in fixed "
        f"shares. mien leads by {value['difference_points']:.1f} points ({low:.1f} to {high:.1f}; "
        "pairs, 95 %). mien's default learned from five sets, one of them FER+ labels of other "
        "faces of this collection, and these faces chose its prior among others; fer's "
        "network learned the older FER2013 labels of the same collection, so part of the lead is "
        "the better labels. Faces of three other sources stand in the README."
    )


def section(title: str, *parts: str) -> str:
    return f"## {title}\n\n" + "\n\n".join(parts) + "\n"


def table(header: Any, rows: list[list[str]]) -> str:
    marks = ["---", *("---:" for _ in list(header)[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [list(header), marks, *rows])


def spread(value: dict[str, float], digits: int = 1) -> str:
    median, low, high = (f"{value[name]:,.{digits}f}" for name in ("median", "low", "high"))
    return f"{median} ({low} to {high})"


def percent(share: float, interval: list[float]) -> str:
    low, high = (f"{100 * end:.1f}" for end in interval)
    return f"{100 * share:.1f} ({low} to {high})"


def machine(value: dict[str, Any]) -> str:
    return f"*{machine_line(value)}*"


if __name__ == "__main__":
    main()
