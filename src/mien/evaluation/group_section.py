"""The report's section on groups, as HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.evaluation.groups import sentence
from mien.evaluation.sections import percent
from mien.reporting.html import paragraph, section, table

if TYPE_CHECKING:
    from mien.evaluation.groups import GroupReport


def groups_section(report: GroupReport | None) -> str:
    """Returns scores by group, gaps and the test; empty without a report."""
    if report is None:
        return ""
    rows = []
    for group in report.groups:
        m, (low, high) = group.scores, group.gap_ci
        rows.append(
            [
                group.name, str(m["n"]), percent(m["accuracy"], m["accuracy_ci"]),
                percent(group.expected), f"{m['macro_f1']:.3f}", f"{m['ece']:.3f}",
                f"{group.gap * 100:+.1f} ({low * 100:+.1f} to {high * 100:+.1f})",
                f"{group.p_holm:.3f}",
            ]
        )  # fmt: skip
    header = [
        report.column, "n", "accuracy (95 %)", "expected", "macro-F1", "ECE",
        "gap to the others, points (95 %)", "p (Holm)",
    ]  # fmt: skip
    return section(
        f"Groups: {report.column}", paragraph(sentence(report)), table(header, rows),
        paragraph(
            "Expected: the accuracy of a model that treats all groups alike, on the group's own "
            "mix of labels; the test deals groups anew within each label, so that a group with "
            "more of the hard ones is not blamed for it. Gaps are plain differences, with "
            "Newcombe's intervals. No difference found is no proof of none.",
            note=True,
        ),
    )  # fmt: skip
