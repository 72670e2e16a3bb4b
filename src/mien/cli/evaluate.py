"""``mien evaluate``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.cli.predict import Format
from mien.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console

    from mien.data import Manifest
    from mien.evaluation import Evaluation
    from mien.evaluation.groups import GroupReport
    from mien.evaluation.robustness import RobustnessRow
    from mien.recognizer import EmotionRecognizer


def command(
    data: Annotated[
        str, typer.Option("-d", "--data", help="Dataset, KIND:PATH, for example folder:faces.")
    ],
    model: Annotated[
        str | None, typer.Option("-m", "--model", help="Model folder or bundled name.")
    ] = None,
    split: Annotated[str, typer.Option("--split", help="train, valid or test.")] = "valid",
    format: Annotated[  # noqa: A002 - the flag is --format
        Format, typer.Option("--format", help="csv: one row per face with its probabilities.")
    ] = Format.table,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder for evaluation.json and predictions.csv."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report", help="NAME.html for one self-contained page, or a folder for PNGs too."
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--compare", help="A second model to compare with the first, on one page."),
    ] = None,
    robust: Annotated[
        bool, typer.Option("--robustness", help="Score it on corrupted and badly framed faces too.")
    ] = False,
    record: Annotated[
        bool,
        typer.Option("--record", help="Write the scores into the model's own folder and card."),
    ] = False,
    group_by: Annotated[
        str | None,
        typer.Option("--group-by", help="Column of the dataset's table: scores and gaps by it."),
    ] = None,
    group_table: Annotated[
        Path | None,
        typer.Option("--group-table", help="CSV with file_name and that column, if elsewhere."),
    ] = None,
    backend: Annotated[str, typer.Option("--backend", help="onnx or torch.")] = "onnx",
    batch_size: Annotated[int, typer.Option("-b", "--batch-size", min=1)] = 64,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that exist.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar.")] = False,
) -> None:
    """Score a model on labelled faces: accuracy, calibration, classes.

    The faces are ready crops; faces without a majority label are left out. Intervals are 95 %.
    """
    from mien.cli.progress import progress_bar
    from mien.data import read_manifest
    from mien.evaluation import compare, evaluate
    from mien.recognizer import EmotionRecognizer

    _check_places(output, report, overwrite=overwrite)
    if record and not model:
        raise ConfigError("--record writes into a model's folder: give it with --model.")
    if group_table and not group_by:
        raise ConfigError("--group-table says where a column lies: name it with --group-by.")
    options: Any = {"detector": "none", "backend": backend, "batch_size": batch_size}
    recognizer = EmotionRecognizer(model, **options)
    second = EmotionRecognizer(against, **options) if against else None
    manifest = read_manifest(data)
    # Wrong columns are refused before the model runs.
    values = _group_values(manifest, split, group_by, group_table) if group_by else None
    with progress_bar("evaluate", None, quiet=quiet) as advance:
        evaluation = evaluate(recognizer, manifest, split=split, progress=advance)
        other = evaluate(second, manifest, split=split, progress=advance) if second else None
    groups = _groups(evaluation, values, group_by)
    rows = []
    if robust or report:
        from mien.evaluation.robustness import CONDITIONS, robustness

        with progress_bar("robustness", CONDITIONS, quiet=quiet) as advance:
            rows = robustness(recognizer, manifest, split=split, progress=advance)
    if report:
        from mien.evaluation.page import write_report

        names = (model or evaluation.model, against or "")
        page = write_report(
            report, evaluation, recognizer, manifest, rows=rows, other=other, groups=groups,
            names=names if other and other.model == evaluation.model else None,
            overwrite=overwrite,
        )  # fmt: skip
        print(f"mien: wrote {page}", file=sys.stderr)
    numbers = evaluation.to_dict()
    numbers |= {"robustness": [row.to_dict() for row in rows]} if rows else {}
    numbers |= {"groups": groups.to_dict()} if groups else {}
    if other:
        numbers["comparison"] = {**compare(evaluation, other).to_dict(), "with": other.to_dict()}
    if output:
        _write(output, evaluation, numbers)
    if record:
        _record(recognizer, evaluation, rows, data)
    if format is Format.json:
        print(json.dumps(numbers, indent=2))
    elif format is Format.csv:
        print(evaluation.predictions_csv(), end="")
    else:
        _print_table(evaluation, numbers)
        _print_groups(groups)


def _check_places(output: Path | None, report: Path | None, *, overwrite: bool) -> None:
    if output and not overwrite:
        for name in ("evaluation.json", "predictions.csv"):
            if (output / name).exists():
                raise ConfigError(
                    "exists: type --overwrite, or give another -o", subject=f"{output / name}"
                )
    if report:
        from mien.evaluation.page import check_target

        check_target(report, overwrite=overwrite)


def _write(output: Path, evaluation: Evaluation, numbers: dict[str, Any]) -> None:
    from mien.atomic import write_text

    output.mkdir(parents=True, exist_ok=True)
    write_text(output / "evaluation.json", json.dumps(numbers, indent=2) + "\n")
    write_text(output / "predictions.csv", evaluation.predictions_csv())


def _record(
    recognizer: EmotionRecognizer, evaluation: Evaluation, rows: list[RobustnessRow], data: str
) -> None:
    from functools import partial

    from mien.atomic import naming_unwritable
    from mien.data.registry import parse_spec
    from mien.evaluation import record_evaluation
    from mien.evaluation.plots import plot_reliability
    from mien.reporting.theme import LIGHT

    picture = None
    if evaluation.labels == recognizer.config.schema.labels:
        picture = partial(plot_reliability(evaluation, LIGHT).savefig, format="png", dpi=100)
    kind, folder = parse_spec(data)[0], recognizer.folder
    with naming_unwritable(folder.path):
        record_evaluation(folder, evaluation, kind, robustness=rows, picture=picture)
    print(f"mien: recorded in {folder.path}", file=sys.stderr)


def _groups(
    evaluation: Evaluation, values: NDArray[np.str_] | None, column: str | None
) -> GroupReport | None:
    if values is None or column is None:
        return None
    from mien.evaluation.groups import by_group

    return by_group(evaluation, values, column)


def _group_values(
    manifest: Manifest, split: str, column: str, table: Path | None
) -> NDArray[np.str_]:
    from mien.evaluation.groups import read_groups

    return read_groups(manifest.split(split).with_labels(), column, table=table)


def _print_groups(report: GroupReport | None) -> None:
    if report is None:
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title=f"groups by {report.column}")
    columns = ("group", "n", "accuracy", "95 %", "expected", "F1", "gap", "95 %", "p (Holm)")
    for column in columns:
        table.add_column(column, justify="left" if column == "group" else "right")
    for group in report.groups:
        m, (low, high) = group.scores, group.gap_ci
        first, last = m["accuracy_ci"]
        table.add_row(
            group.name, str(m["n"]), f"{m['accuracy']:.1%}", f"{first:.1%} to {last:.1%}",
            f"{group.expected:.1%}", f"{m['macro_f1']:.3f}", f"{group.gap * 100:+.1f}",
            f"{low * 100:+.1f} to {high * 100:+.1f}", f"{group.p_holm:.3f}",
        )  # fmt: skip
    console.print(table)
    console.print(report.sentence())


def _print_table(evaluation: Evaluation, report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    head = Table(title=f"{evaluation.model} on {evaluation.data}, {evaluation.split}")
    for column in ("faces", "n", "accuracy", "95 % interval", "macro-F1", "balanced", "ECE", "NLL"):
        head.add_column(column, justify="left" if column == "faces" else "right", no_wrap=True)
    rows = [("all", report)]
    if report["deduplicated"]:
        rows.append(("no copies", report["deduplicated"]))
    for name, m in rows:
        low, high = m["accuracy_ci"]
        head.add_row(
            name, str(m["n"]), f"{m['accuracy']:.2%}", f"{low:.2%} to {high:.2%}",
            f"{m['macro_f1']:.3f}", f"{m['balanced_accuracy']:.3f}", f"{m['ece']:.3f}",
            f"{m['nll']:.3f}",
        )  # fmt: skip
    console.print(head)
    classes = Table(title="classes")
    for column in ("class", "faces", "recall", "precision", "F1"):
        classes.add_column(column, justify="left" if column == "class" else "right")
    for label, m in report["per_class"].items():
        classes.add_row(
            label,
            str(m["support"]),
            f"{m['recall']:.1%}",
            f"{m['precision']:.1%}",
            f"{m['f1']:.3f}",
        )
    console.print(classes)
    confusion = Table(title="confusion (rows: true, columns: predicted)")
    confusion.add_column("")
    for label in evaluation.labels:
        confusion.add_column(label[:9], justify="right")
    for index, (label, counts) in enumerate(
        zip(evaluation.labels, report["confusion"]["counts"], strict=True)
    ):
        cells = [
            f"[bold]{c}[/]" if i == index else (str(c) if c else "·") for i, c in enumerate(counts)
        ]
        confusion.add_row(label, *cells)
    console.print(confusion)
    if "robustness" in report:
        _print_robustness(console, report["robustness"])
    if "comparison" in report:
        found = report["comparison"]
        low, high = found["difference_ci"]
        console.print(
            f"{found['with']['model']} (--compare) minus {evaluation.model}: "
            f"{found['difference'] * 100:+.2f} points ({low * 100:+.2f} to {high * 100:+.2f}); "
            f"only the first right on {found['first_only']} faces, only the second on "
            f"{found['second_only']}; McNemar's exact p = {found['mcnemar_p']:.2g}"
        )


def _print_robustness(console: Console, rows: list[dict[str, Any]]) -> None:
    from statistics import fmean

    from rich.table import Table

    corrupted = Table(title=f"accuracy on corrupted faces, severity 1 to 5 (n = {rows[0]['n']})")
    for column in ("corruption", "1", "2", "3", "4", "5", "mean"):
        corrupted.add_column(column, justify="left" if column == "corruption" else "right")
    kinds = list(dict.fromkeys(row["condition"] for row in rows if row["severity"]))
    for kind in kinds:
        values = [row["accuracy"] for row in rows if row["condition"] == kind]
        corrupted.add_row(kind, *(f"{v:.1%}" for v in [*values, fmean(values)]))
    cells = [row["accuracy"] for row in rows if row["severity"]]
    corrupted.caption = f"mean of all {len(cells)}: {fmean(cells):.1%}"
    framing = Table(title="framing and size")
    for column in ("condition", "accuracy", "95 % interval"):
        framing.add_column(column, justify="left" if column == "condition" else "right")
    for row in rows:
        if not row["severity"]:
            low, high = row["accuracy_ci"]
            framing.add_row(row["condition"], f"{row['accuracy']:.1%}", f"{low:.1%} to {high:.1%}")
    console.print(corrupted)
    console.print(framing)
