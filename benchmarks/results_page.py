"""Scores the runs of ``architectures.py`` on one split and renews the tables of a page.

    python benchmarks/results_page.py ferplus:DIR runs/results --page docs/results.md

Joins ResNet34, LeNet and MobileNetV2 into ensembles, sets all runs side by side, tests the pairs
that the page speaks of, and writes what lies between the page's markers, the picture next to it and
the numbers as JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from architectures import ORDER, RECIPES

import mien
from mien import EmotionRecognizer, __version__
from mien.atomic import write_text
from mien.data import Manifest, read_manifest
from mien.ensembles import ensemble
from mien.evaluation import Evaluation, compare, evaluate
from mien.reporting.theme import save_figure
from mien.training.config import TrainConfig

if TYPE_CHECKING:
    from mien.comparison import RunComparison, RunRow

MEMBERS = ("resnet34", "lenet", "mobilenetv2_scratch")
METHODS = ("equal", "weighted")
BUNDLED = "mienet_s.ferplus8"
#: Pairs that the page speaks of: the first is expected to be better.
PAIRS = (
    ("mobilenetv2_finetuned", "mobilenetv2_scratch"),
    ("mobilenetv2_finetuned", "mobilenetv2_frozen"),
    ("ensemble_equal", "resnet34"),
    ("ensemble_weighted", "resnet34"),
    ("cnn_simple", "cnn_simple_balanced"),
)


def ensembles(runs: Path, manifest: Manifest) -> list[Path]:
    """Builds the ensembles of the three members; those that are there are kept."""
    folders = []
    for method in METHODS:
        output = runs / f"ensemble_{method}"
        if not (output / "config.json").is_file():
            members = [runs / name for name in MEMBERS]
            ensemble(members, manifest, output, method=method, tag=f"{method}_results")
        folders.append(output)
    return folders


def describe(row: RunRow) -> str:
    """Names a row's recipe, or what it is."""
    if row.run.startswith("ensemble_"):
        kind = row.run.removeprefix("ensemble_")
        return f"ResNet34 + LeNet + MobileNetV2 from scratch, {kind} votes"
    if row.run == BUNDLED:
        return "`recipes/bundled/long.yaml`, the bundled model: another budget"
    return f"`recipes/results/{row.run}.yaml`"


def main_table(comparison: RunComparison) -> list[str]:
    """One line per run, best first."""
    lines = [
        (
            "| run | recipe | accuracy | 95 % interval | macro-F1 | ECE | parameters | MACs | "
            "ms, 1 | ms, 32 | epochs | minutes |"
        ),
        f"|{'---|' * 12}",
    ]
    for row in comparison.rows:
        s, c = row.scores, row.costs
        low, high = s["accuracy_ci"]
        one, many = row.latency_ms or (float("nan"),) * 2
        trained = "" if c.minutes is None else f"{c.minutes:.0f}"
        lines.append(
            f"| {row.run} | {describe(row)} | {s['accuracy']:.2%} | {low:.1%} to {high:.1%} | "
            f"{s['macro_f1']:.3f} | {s['ece']:.3f} | {(c.parameters or 0) / 1e6:.2f}M | "
            f"{(c.macs or 0) / 1e6:.0f}M | {one:.2f} | {many:.2f} | {c.epochs or ''} | {trained} |"
        )
    return lines


def pair_table(found: dict[str, Evaluation]) -> list[str]:
    """McNemar's test of the pairs that the page speaks of."""
    lines = ["| first | second | difference, points | 95 % interval | p |", f"|{'---|' * 5}"]
    for first, second in PAIRS:
        test = compare(found[second], found[first])
        low, high = test.difference_ci
        lines.append(
            f"| {first} | {second} | {100 * test.difference:+.2f} | "
            f"{100 * low:+.2f} to {100 * high:+.2f} | {test.p_value:.2g} |"
        )
    return lines


def weight_table(found: dict[str, Evaluation]) -> list[str]:
    """Recall of each class with and without class weights."""
    plain, weighed = (found[name].to_dict() for name in ("cnn_simple", "cnn_simple_balanced"))
    lines = ["| class | faces | recall, plain | recall, weighed |", f"|{'---|' * 4}"]
    for label, of in plain["per_class"].items():
        other = weighed["per_class"][label]
        lines.append(f"| {label} | {of['support']} | {of['recall']:.3f} | {other['recall']:.3f} |")
    for key, name in (
        ("macro_f1", "macro-F1"),
        ("balanced_accuracy", "mean recall"),
        ("accuracy", "accuracy"),
    ):
        lines.append(f"| {name} | {plain['n']} | {plain[key]:.3f} | {weighed[key]:.3f} |")
    return lines


def renew(page: str, name: str, lines: list[str]) -> str:
    """Replaces what lies between a page's two markers of that name."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, rest = page.split(begin)
    return "\n".join([before + begin, "", *lines, "", end]) + rest.split(end)[1]


def scored(names: list[Path | str], manifest: Manifest, split: str) -> dict[str, Evaluation]:
    """Evaluates the runs that the pairs name."""
    wanted = {name for pair in PAIRS for name in pair}
    return {
        Path(name).name: evaluate(EmotionRecognizer(name, detector="none"), manifest, split=split)
        for name in names
        if Path(name).name in wanted
    }


def numbers(comparison: RunComparison) -> dict[str, Any]:
    """Returns what the page shows, with seeds and epochs, as JSON types."""
    recipes = {name: TrainConfig.load(RECIPES / f"{name}.yaml").to_dict() for name in ORDER}
    return {"mien": __version__, **comparison.to_dict(), "recipes": recipes}


def main() -> None:
    """Builds, scores, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="dataset, KIND:PATH")
    parser.add_argument("runs", type=Path, help="folder of the runs")
    parser.add_argument("--page", type=Path, required=True)
    parser.add_argument("--split", default="valid")
    given = parser.parse_args()
    manifest = read_manifest(given.data)
    names: list[Path | str] = [given.runs / name for name in ORDER]
    names += [*ensembles(given.runs, manifest), BUNDLED]
    comparison = mien.compare(names, manifest, split=given.split)
    found = scored(names, manifest, given.split)
    page = given.page.read_text(encoding="utf-8")
    page = renew(page, "rows", main_table(comparison))
    page = renew(page, "pairs", pair_table(found))
    page = renew(page, "weights", weight_table(found))
    write_text(given.page, page)
    save_figure(comparison.plot(), given.page.parent / "images" / "results.png")
    write_text(Path(__file__).with_name("results.json"), json.dumps(numbers(comparison), indent=1))


if __name__ == "__main__":
    main()
