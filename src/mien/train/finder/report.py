"""An evaluation as Markdown tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Returns a Markdown table; numbers below 2 are written with three decimals.

    >>> print(table(["a", "b"], [["x", 0.5]]))
    | a | b |
    |---|---|
    | x | 0.500 |
    """
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 2 else f"{value:.1f}"
    return str(value)


def scenes_tables(scenes: dict[str, Any]) -> str:
    """Returns the tables of the held-out scenes."""
    names = list(scenes)
    first = scenes[names[0]]
    own = table(
        ["detector", "score from", "recall", "false alarms a picture", "on animals"],
        [
            [n, e["threshold"], e["recall"], e["alarms"], e["animals"]["alarms"]]
            for n, e in scenes.items()
        ],
    )
    equal = table(
        ["false alarms a picture", *names],
        [
            [level, *(scenes[name]["equal"][level]["recall"] for name in names)]
            for level in first["equal"]
        ],
    )
    sizes = table(
        ["longer side of the face", *names],
        [
            [f"from {size} px", *(scenes[n]["sizes"][size] for n in names)]
            for size in first["sizes"]
        ],
    )
    return (
        f"{first['pictures']} scenes, {first['faces']} faces of 24 px and more. "
        f"At each detector's own threshold:\n\n{own}\n\n"
        f"Recall at equal false alarms:\n\n{equal}\n\n"
        f"Recall by size, at 0.02 false alarms a picture:\n\n{sizes}"
    )


def composed_tables(composed: dict[str, dict[str, dict[str, float]]]) -> str:
    """Returns the tables of the composed scenes."""
    parts = []
    for group, rows in composed.items():
        names = list(next(iter(rows.values())))
        body = [[value, *(row[name] for name in names)] for value, row in rows.items()]
        parts.append(table([group, *names], body))
    return "\n\n".join(parts)


def latency_table(latency: dict[str, dict[str, float]]) -> str:
    """Returns the table of times in ms; a dash where one was not measured.

    >>> print(latency_table({"network": {"a": 1.5}, "detect": {"a": 2.5, "b": 3.0}}))
    | ms | a | b |
    |---|---|---|
    | network | 1.50 | - |
    | detect | 2.50 | 3.00 |
    """
    names = list(dict.fromkeys(name for row in latency.values() for name in row))
    return table(
        ["ms", *names],
        [
            [what, *(f"{row[name]:.2f}" if name in row else "-" for name in names)]
            for what, row in latency.items()
        ],
    )


_LANDMARKS = (
    "Mean distance of the five points from the teacher's, in shares of the distance between the "
    "eyes, on held-out portraits:\n\n"
)


def render(result: dict[str, Any]) -> str:
    """Returns the whole evaluation as Markdown."""
    marks = result["landmarks"]
    errors = table(
        ["detector", "faces", "mean", "median", "90th percentile"],
        [
            [n, m["faces"], *(f"{m[k]:.2%}" for k in ("mean", "median", "p90"))]
            for n, m in marks.items()
        ],
    )
    return "\n\n".join([
        "### Held-out scenes", scenes_tables(result["scenes"]),
        "### Composed scenes", composed_tables(result["composed"]),
        "### Landmarks",
        _LANDMARKS + errors,
        "### Speed", latency_table(result["latency"]),
    ])  # fmt: skip
