"""What is printed: results to stdout, remarks and progress to stderr."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.progress import Progress, ProgressColumn

    from mien.cli.flags import Format


#: Warnings of photos that are printed, at most.
_MAX_NOTES = 5
#: Characters of a name that stand in a line of a table.
_MIN_NAME = 18


class Manner(NamedTuple):
    """How a verb answers: the form of what is printed, and its flags of the same names."""

    form: str
    overwrite: bool
    quiet: bool
    on_error: str = "continue"


def print_result(value: Any, form: str, table: Callable[[], None]) -> None:
    """Prints plain JSON types, indented, or what ``table`` prints of them."""
    if form == "json":
        print(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        table()


def print_table(
    columns: Iterable[str],
    rows: Iterable[Iterable[Any] | None],
    *,
    title: str | None = None,
    caption: str | None = None,
    left: int = 1,
    width: int | None = None,
) -> None:
    """Prints a table; a row of None is a line between sections, ``left`` columns are aligned left.

    Of those, long texts are broken into lines; the others are figures, which are never cut: the
    table grows beyond the width of the terminal, or of a pipe, where they need it.
    ``width`` is the number of characters per line where stdout is no terminal.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title and escape(title), caption=caption and escape(caption))
    for index, column in enumerate(columns):
        side: Any = "left" if index < left else "right"
        table.add_column(Text(column), justify=side, overflow="fold", no_wrap=index >= left)
    for row in rows:
        if row is None:
            table.add_section()
            continue
        # As text: a label in square brackets is no markup.
        cells = [cell if isinstance(cell, Text) else Text(str(cell)) for cell in row]
        table.add_row(*cells)
        for index, (shown, cell) in enumerate(zip(table.columns, cells, strict=True)):
            least = cell.cell_len if index >= left else min(cell.cell_len, _MIN_NAME)
            shown.min_width = max(shown.min_width or 0, least)
    console = Console()
    if width and not console.is_terminal:
        console.width = width
    whole = console.options.update(max_width=10_000)
    console.width = max(console.width, console.measure(table, options=whole).minimum)
    console.print(table)


def interval(bounds: Sequence[float], digits: int = 2) -> str:
    """Writes a 95 % interval of shares."""
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
    """Makes sure, before anything is computed, that report and picture can be written."""
    from mien.reporting.pages import FORMS, check_output

    for target, endings in ((output, FORMS), (picture, (".png",))):
        if target:
            check_output(target, endings, overwrite=overwrite)


def print_report(report: Any, output: Path | None, picture: Path | None, form: Format) -> None:
    """Prints a report that can be plotted, and writes it where it is to go."""
    from mien.reporting.pages import write_report
    from mien.reporting.theme import save_figure

    print(json.dumps(report.to_dict(), indent=2) if form == "json" else report.markdown().rstrip())
    if output:
        write_report(report, output)
        remark(f"wrote {output}")
    if picture:
        save_figure(report.plot(), picture)
        remark(f"wrote {picture}")


def remark(text: str) -> None:
    """Prints what a person should know, to stderr."""
    print(text, file=sys.stderr, flush=True)


def print_notes(notes: Sequence[str]) -> None:
    """Prints what results of photos warn of to stderr, the first of them."""
    for note in notes[:_MAX_NOTES]:
        remark(f"note: {note}")
    if len(notes) > _MAX_NOTES:
        remark(f"note: {len(notes) - _MAX_NOTES:,} more such notes: mien predict --format json")


def failed(*faults: str) -> typer.Exit:
    """Prints faults among results to stderr, after them, and returns the exit to raise."""
    sys.stdout.flush()
    for fault in faults:
        remark(f"error: {fault}")
    return typer.Exit(1)


@contextmanager
def progress_bar(
    what: str, total: int | None, *, quiet: bool = False
) -> Iterator[Callable[[int], None]]:
    """Yields what advances a bar on stderr; none is drawn for one item or without a terminal."""
    if quiet or total == 1 or not sys.stderr.isatty():
        yield lambda _done: None
        return
    with progress_display() as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)


def progress_display(*more: ProgressColumn) -> Progress:
    """Returns an empty display on stderr, with further columns before the time that is left."""
    from rich import progress
    from rich.console import Console

    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        *more,
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
