"""Results on stdout: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from mien.cli.flags import Format


def print_json(value: Any) -> None:
    """Prints plain JSON types, indented."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any] | None],
    *,
    title: str | None = None,
    caption: str | None = None,
    left: int = 1,
    width: int | None = None,
) -> None:
    """Prints a table.

    Args:
        columns: Their heads.
        rows: A cell per column, or None for a line between sections.
        title: What stands above.
        caption: What stands below.
        left: So many columns are aligned left, those after them right.
        width: Characters per line where stdout is no terminal.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, caption=caption)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < left else "right")
    for row in rows:
        if row is None:
            table.add_section()
        else:
            table.add_row(*map(str, row))
    console = Console()
    if width and not console.is_terminal:
        console.width = width
    console.print(table)


def interval(bounds: Sequence[float], digits: int = 2) -> str:
    """Writes a 95 % interval of shares.

    >>> interval((0.5, 0.75))
    '50.00% to 75.00%'
    """
    low, high = bounds
    return f"{low:.{digits}%} to {high:.{digits}%}"


def score_cells(scores: Mapping[str, Any], *names: str) -> list[str]:
    """Returns accuracy, its interval, and further scores as cells.

    >>> score_cells({"accuracy": 0.5, "accuracy_ci": (0.4, 0.6), "ece": 0.0123}, "ece")
    ['50.00%', '40.00% to 60.00%', '0.012']
    """
    others = [f"{scores[name]:.3f}" for name in names]
    return [f"{scores['accuracy']:.2%}", interval(scores["accuracy_ci"]), *others]


def check_reports(output: Path | None, picture: Path | None, *, overwrite: bool) -> None:
    """Makes sure, before anything is computed, that report and picture can be written.

    Raises:
        ConfigError: If an ending is none of theirs, or a file is there already.
    """
    from mien.reporting import FORMS, check_output

    for target, endings in ((output, FORMS), (picture, (".png",))):
        if target:
            check_output(target, endings, overwrite=overwrite)


def print_report(report: Any, output: Path | None, picture: Path | None, form: Format) -> None:
    """Prints a report that can be plotted, and writes it where it is to go."""
    from mien.reporting import save_figure, write_report

    print(json.dumps(report.to_dict(), indent=2) if form == "json" else report.markdown().rstrip())
    if output:
        write_report(report, output)
        remark(f"wrote {output}")
    if picture:
        save_figure(report.plot(), picture)
        remark(f"wrote {picture}")


def remark(text: str) -> None:
    """Prints what a person should know, to stderr."""
    print(text, file=sys.stderr)


def failed(text: str) -> typer.Exit:
    """Prints a fault among results to stderr, after them, and returns the exit to raise."""
    sys.stdout.flush()
    print(f"error: {text}", file=sys.stderr)
    return typer.Exit(1)
