"""Parts of a model card: calibration, robustness, other labels, as they were recorded."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any

from mien.errors import ConfigError
from mien.labels import SCHEMAS, mapping_matrix

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mien.hub.folder import ModelFolder
    from mien.labels import LabelSchema


def calibration(folder: ModelFolder) -> str:
    """Returns the picture of confidence against what is right, where it was drawn."""
    path = folder.path / "eval" / "valid.png"
    if not path.is_file():
        return ""
    words = "Share of right answers against confidence, 15 bins, 95 % intervals"
    return (
        f"\n\n![{words}](eval/{path.name})\n\n{words}. On the diagonal, answers that are 70 % sure "
        "are right in 70 % of the cases."
    )


def robustness(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns the tables of corrupted and badly framed faces as a chapter, or an empty text.

    Args:
        rows: What ``mien evaluate --robustness --record`` wrote.
    """
    if not rows:
        return ""
    corrupted = [row for row in rows if row["severity"]]
    kinds = list(dict.fromkeys(row["condition"] for row in corrupted))
    lines = ["| corruption | 1 | 2 | 3 | 4 | 5 | mean |", "|---|---|---|---|---|---|---|"]
    for kind in kinds:
        values = [row["accuracy"] for row in corrupted if row["condition"] == kind]
        shown = " | ".join(f"{value:.1%}" for value in values)
        lines.append(f"| {kind} | {shown} | {fmean(values):.1%} |")
    every = fmean([row["accuracy"] for row in corrupted])
    framed = ["| framing and size | accuracy (95 % interval) | lost |", "|---|---|---|"]
    others = [row for row in rows if not row["severity"]]
    for row in others:
        low, high = row["accuracy_ci"]
        lost = 100 * (others[0]["accuracy"] - row["accuracy"])
        framed.append(
            f"| {row['condition']} | {row['accuracy']:.1%} ({low:.1%} to {high:.1%}) | {lost:.1f} |"
        )
    return (
        f"\n## Corrupted and badly framed faces\n\nOn {rows[0]['n']} validation faces, drawn "
        f"and corrupted with fixed seeds: accuracy by severity; {every:.1%} is the mean of all "
        f"{len(corrupted)} cells.\n\n" + "\n".join(lines) + "\n\n" + "\n".join(framed) + "\n"
    )


def other_labels(own: LabelSchema, metrics: Mapping[str, Any]) -> str:
    """Returns how the answers are read in the other known labels, as a chapter.

    Args:
        own: The model's labels.
        metrics: Of ``config.json``: those of other labels are keyed ``SPLIT-SCHEMA``.
    """
    rows = []
    for schema in SCHEMAS.values():
        if schema.labels == own.labels:
            continue
        try:
            matrix = mapping_matrix(own, schema)
        except ConfigError:
            continue  # nothing in common
        scores = metrics.get(f"valid-{schema.name}")
        found = "not measured"
        if scores:
            low, high = scores["accuracy_ci"]
            found = f"{scores['accuracy']:.2%} ({low:.2%} to {high:.2%}), n = {scores['n']}"
        ways = "; ".join(
            _way(label, row, schema) for label, row in zip(own.labels, matrix, strict=True)
        )
        rows.append(f"| `{schema.name}` | {ways} | {found} |")
    if not rows:
        return ""
    return (
        "\n## In other labels\n\nProbabilities are added where labels meet and scaled to sum to 1; "
        "what the other labels lack is left out, or goes where measured shares send it.\n\n"
        "| labels | how they are read | accuracy (95 % interval) |\n|---|---|---|\n"
        + "\n".join(rows)
        + "\n"
    )


def _way(label: str, row: Any, schema: LabelSchema) -> str:
    pairs = zip(row, schema.labels, strict=True)
    reached = [(float(share), name) for share, name in pairs if share]
    if not reached:
        return f"{label}: left out"
    if len(reached) == 1:
        return label if reached[0][1] == label else f"{label} as {reached[0][1]}"
    shares = ", ".join(f"{name} {share:.0%}" for share, name in sorted(reached, reverse=True))
    return f"{label} as {shares}"
