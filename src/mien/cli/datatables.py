"""Tables of ``mien data`` on stdout."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from mien.cli.tables import print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mien.data.inspection import Inspection


def print_findings(inspection: Inspection) -> None:
    """Prints what was found, leaks first, and the classes."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    console.print(
        Text("LEAKAGE: scores on this data are not honest", style="bold red")
        if inspection.leaks
        else Text("no leakage found", style="bold green")
    )
    table = Table(show_lines=False)
    for column in ("", "finding", "first"):
        table.add_column(column, overflow="fold")
    styles = {"leak": "bold red", "fault": "yellow", "note": "dim"}
    pairs = [
        inspection.keys(item.groups[0])[:2] if item.groups else [] for item in inspection.findings
    ]
    above = shared_folder([name for pair in pairs for name in pair])
    for item, pair in zip(inspection.findings, pairs, strict=True):
        first = [name[len(above) :] for name in pair] or item.details[:1]
        table.add_row(
            Text(item.level, style=styles[item.level]), Text(item.title), Text("\n".join(first))
        )
    if inspection.findings:
        console.print(table)
        if above:
            console.print(Text(f"the pictures lie below {above}", style="dim"))
    print_counts(inspection.manifest.counts())


def shared_folder(names: Sequence[str]) -> str:
    """Returns the folder that all names begin with, with its slash, or an empty string.

    >>> shared_folder(["a/b/train/1.jpg", "a/b/test/2.jpg"])
    'a/b/'
    >>> shared_folder(["a.jpg", "b.jpg"])
    ''
    """
    folders = zip(*(name.split("/")[:-1] for name in names), strict=False)
    same = itertools.takewhile(lambda parts: len(set(parts)) == 1, folders)
    return "".join(f"{parts[0]}/" for parts in same)


def print_counts(counts: dict[str, dict[str, int]]) -> None:
    """Prints pictures by class and split."""
    rows = [
        [label, *(f"{found[label]:,}" for found in counts.values())]
        for label in next(iter(counts.values()), {})
    ]
    print_table(("", *counts), rows, title="pictures by class")
