"""Tables of ``mien data`` on stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    for item in inspection.findings:
        first = inspection.keys(item.groups[0])[:2] if item.groups else item.details[:1]
        table.add_row(
            Text(item.level, style=styles[item.level]), Text(item.title), Text("\n".join(first))
        )
    if inspection.findings:
        console.print(table)
    print_counts(inspection.manifest.counts())


def print_counts(counts: dict[str, dict[str, int]]) -> None:
    """Prints pictures by class and split."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="pictures by class")
    table.add_column("")
    for split_name in counts:
        table.add_column(split_name, justify="right")
    for label in next(iter(counts.values()), {}):
        table.add_row(label, *(f"{found[label]:,}" for found in counts.values()))
    Console().print(table)
