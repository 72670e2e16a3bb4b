"""``mien evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mien.cli import flags
from mien.cli.flags import flag, output_flag
from mien.cli.printing import (
    interval,
    print_result,
    print_table,
    progress_bar,
    remark,
    score_cells,
)
from mien.errors import ConfigError

if TYPE_CHECKING:
    from mien.arrays import Texts
    from mien.data import Manifest
    from mien.evaluation import Evaluation
    from mien.evaluation.groups import GroupReport
    from mien.evaluation.robustness import RobustnessRow
    from mien.recognizer import EmotionRecognizer

_FILES = ("evaluation.json", "predictions.csv")


@flags.with_label_map
@flags.with_on_error
def command(
    data: flags.Datasets,
    model: flags.Model = None,
    split: flags.Split = "valid",
    labels: flags.Labels = None,
    format: flags.PrintRows = flags.RowsFormat.table,  # noqa: A002 - the flag is --format
    output: Annotated[
        Path | None, output_flag(f"Folder for {' and '.join(_FILES)}.", folder=True)
    ] = None,
    report: Annotated[
        Path | None,
        flag("NAME.html for one self-contained page, or a folder for PNGs too."),
    ] = None,
    against: Annotated[
        str | None,
        flag("A second model, compared with the first on the page.", "--compare"),
    ] = None,
    robust: Annotated[
        bool, flag("Score it on corrupted and badly framed faces too.", "--robustness")
    ] = False,
    record: Annotated[
        bool, flag("Write the scores into the model's own folder and card.", "--record")
    ] = False,
    group_by: Annotated[
        str | None, flag("Column of the dataset's table: scores and gaps by it.")
    ] = None,
    group_table: Annotated[
        Path | None, flag("CSV with file_name and that column, if elsewhere.")
    ] = None,
    backend: flags.Backend = "onnx",
    device: flags.Device = "auto",
    batch_size: flags.BatchSize = 64,
    imports: flags.Imports = None,  # noqa: ARG001 - imported when it is read
    overwrite: flags.Overwrite = False,
    quiet: flags.Quiet = False,
) -> None:
    """Score a model on labelled faces: accuracy, calibration, classes.

    The faces are ready crops; faces without a majority label are left out. Intervals are 95 %.
    Exit code 1 where pictures could not be read, or have labels that the model lacks.
    """
    from mien.data import read_manifest
    from mien.data.sources import data_name
    from mien.evaluation import compare, evaluate
    from mien.evaluation.groups import by_group, read_groups
    from mien.evaluation.robustness import CONDITIONS, robustness
    from mien.hub.folder import refuse_bundled
    from mien.recognizer import EmotionRecognizer

    _check_places(output, report, overwrite=overwrite)
    if record and not model:
        raise ConfigError("--record writes into a model's folder: give it with --model.")
    if group_table and not group_by:
        raise ConfigError("--group-table says where a column lies: name it with --group-by.")
    options: Any = {
        "detector": "none", "backend": backend, "batch_size": batch_size, "device": device,
    }  # fmt: skip
    recognizer = EmotionRecognizer(refuse_bundled(model) if record else model, **options)
    second = EmotionRecognizer(against, **options) if against else None
    folders = [each.folder.path for each in (recognizer, second) if each]
    manifest = read_manifest(data, labels=labels, runs=folders)
    values = None
    if group_by:  # wrong columns are refused before the model runs
        values = read_groups(manifest.split(split).with_labels(), group_by, table=group_table)
    with progress_bar("evaluate", None, quiet=quiet) as advance:
        evaluation = evaluate(recognizer, manifest, split=split, progress=advance)
        manifest, values = _readable(manifest, values, evaluation)
        other = evaluate(second, manifest, split=split, progress=advance) if second else None
    groups = by_group(evaluation, values, group_by) if group_by and values is not None else None
    rows = []
    if robust or report:
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
        remark(f"wrote {page}")
    numbers = evaluation.to_dict()
    numbers |= {"robustness": [row.to_dict() for row in rows]} if rows else {}
    numbers |= {"groups": groups.to_dict()} if groups else {}
    if other:
        numbers["comparison"] = {**compare(evaluation, other).to_dict(), "with": other.to_dict()}
    if output:
        _write(output, numbers, evaluation)
    if record:
        _record(recognizer, evaluation, rows, data_name(data))
    _show(evaluation, numbers, groups, format)


def _readable(
    manifest: Manifest, values: Texts | None, evaluation: Evaluation
) -> tuple[Manifest, Texts | None]:
    """Returns the pictures that were scored, and their groups, for what follows."""
    if not evaluation.unreadable:
        return manifest, values
    part = manifest.split(evaluation.split).with_labels()
    scored = set(evaluation.keys)
    keep = [index for index in range(len(part)) if part.images.key(index) in scored]
    return part.select(keep), None if values is None else values[keep]


def _write(folder: Path, numbers: dict[str, Any], evaluation: Evaluation) -> None:
    from mien.atomic import write_text

    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / _FILES[0], json.dumps(numbers, indent=2) + "\n")
    write_text(folder / _FILES[1], evaluation.predictions_csv())


def _show(
    evaluation: Evaluation,
    numbers: dict[str, Any],
    groups: GroupReport | None,
    format: flags.RowsFormat,  # noqa: A002 - the flag is --format
) -> None:
    if format is flags.RowsFormat.csv:
        print(evaluation.predictions_csv(), end="")
    else:
        print_result(numbers, format, lambda: _print(evaluation, numbers, groups))


def _check_places(output: Path | None, report: Path | None, *, overwrite: bool) -> None:
    if output and output.exists() and not output.is_dir():
        raise ConfigError("is a file: give a folder", subject=f"-o {output}")
    for path in [output / name for name in _FILES] if output and not overwrite else ():
        if path.exists():
            raise ConfigError("exists: type --overwrite, or give another -o", subject=path)
    if report:
        from mien.evaluation.page import check_target

        check_target(report, overwrite=overwrite)


def _record(
    recognizer: EmotionRecognizer, evaluation: Evaluation, rows: list[RobustnessRow], name: str
) -> None:
    from functools import partial

    from mien.atomic import naming_unwritable
    from mien.evaluation import record_evaluation
    from mien.evaluation.plots import plot_reliability
    from mien.reporting.theme import LIGHT

    picture = None
    if evaluation.labels == recognizer.config.schema.labels:
        picture = partial(plot_reliability(evaluation, LIGHT).savefig, format="png", dpi=100)
    folder = recognizer.folder
    with naming_unwritable(folder.path):
        record_evaluation(folder, evaluation, name, robustness=rows, picture=picture)
    remark(f"recorded in {folder.path}")


def _print(evaluation: Evaluation, report: dict[str, Any], groups: GroupReport | None) -> None:
    from rich.text import Text

    from mien.reporting.text import SOURCE_COLUMNS, source_rows

    parts = [("all", report), ("no copies", report["deduplicated"])]
    names = ("macro_f1", "balanced_accuracy", "ece", "nll")
    print_table(
        ("faces", "n", "accuracy", "95 % interval", "macro-F1", "balanced", "ECE", "NLL"),
        ([name, m["n"], *score_cells(m, *names)] for name, m in parts if m),
        title=f"{evaluation.model} on {evaluation.data}, {evaluation.split}",
    )
    if "sources" in report:
        print_table(SOURCE_COLUMNS, source_rows(report), title="datasets")
    shares = ("recall", "precision")
    print_table(
        ("class", "faces", *shares, "F1"),
        (
            [label, m["support"], *(f"{m[name]:.1%}" for name in shares), f"{m['f1']:.3f}"]
            if m["support"]
            else [label, "·", "", "", ""]
            for label, m in report["per_class"].items()
        ),
        title="classes",
    )
    labelled = zip(evaluation.labels, report["confusion"]["counts"], strict=True)
    print_table(
        ("", *(label[:9] for label in evaluation.labels)),
        (
            [label, *(Text(str(c), "bold") if i == row else c or "·" for i, c in enumerate(counts))]
            for row, (label, counts) in enumerate(labelled)
        ),
        title="confusion (rows: true, columns: predicted)",
    )
    if "robustness" in report:
        _print_robustness(report["robustness"])
    if "comparison" in report:
        found = report["comparison"]
        low, high = found["difference_ci"]
        print(
            f"{found['with']['model']} (--compare) minus {evaluation.model}: "
            f"{found['difference'] * 100:+.2f} points ({low * 100:+.2f} to {high * 100:+.2f}); "
            f"only the first right on {found['first_only']} faces, only the second on "
            f"{found['second_only']}; McNemar's exact p = {found['mcnemar_p']:.2g}"
        )
    if groups:
        _print_groups(groups)


def _print_robustness(rows: list[dict[str, Any]]) -> None:
    from statistics import fmean

    kinds: dict[str, list[float]] = {}
    for row in rows:
        if row["severity"]:
            kinds.setdefault(row["condition"], []).append(row["accuracy"])
    everything = [value for values in kinds.values() for value in values]
    print_table(
        ("corruption", "1", "2", "3", "4", "5", "mean"),
        ([kind, *(f"{v:.1%}" for v in (*values, fmean(values)))] for kind, values in kinds.items()),
        title=f"accuracy on corrupted faces, severity 1 to 5 (n = {rows[0]['n']})",
        caption=f"mean of all {len(everything)}: {fmean(everything):.1%}",
    )
    print_table(
        ("condition", "accuracy", "95 % interval"),
        (
            [row["condition"], f"{row['accuracy']:.1%}", interval(row["accuracy_ci"], 1)]
            for row in rows
            if not row["severity"]
        ),
        title="framing and size",
    )


def _print_groups(report: GroupReport) -> None:
    rows = []
    for group in report.groups:
        m, (low, high) = group.scores, group.gap_ci
        rows.append([
            group.name, m["n"], f"{m['accuracy']:.1%}", interval(m["accuracy_ci"], 1),
            f"{group.expected:.1%}", f"{m['macro_f1']:.3f}", f"{group.gap * 100:+.1f}",
            f"{low * 100:+.1f} to {high * 100:+.1f}", f"{group.p_holm:.3f}",
        ])  # fmt: skip
    columns = ("group", "n", "accuracy", "95 %", "expected", "F1", "gap", "95 %", "p (Holm)")
    print_table(columns, rows, title=f"groups by {report.column}")
    print(report.sentence())
