"""A progress bar on stderr, only where somebody can see it."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress, ProgressColumn

    from mien.data.inspection.run import Bars


@contextmanager
def progress_bar(
    what: str, total: int | None, *, quiet: bool = False
) -> Iterator[Callable[[int], None]]:
    """Yields a function that advances the bar by a number of items.

    No bar is drawn for a single item, where stderr is no terminal, or when ``quiet``.
    """
    if quiet or total == 1 or not sys.stderr.isatty():
        yield lambda _done: None
        return
    with progress_display() as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)


def progress_bars(*, quiet: bool) -> Bars:
    """Returns what makes a bar of a title and a number of steps."""

    def bar(what: str, total: int | None) -> Any:
        return progress_bar(what, total, quiet=quiet)

    return bar


def progress_display(*more: ProgressColumn) -> Progress:
    """Returns an empty display on stderr, with further columns before the time that is left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *more,
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)
