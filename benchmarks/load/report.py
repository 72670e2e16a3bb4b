"""One HTML file from a load run: throughput and latency percentiles over time, drawn as SVG."""

from __future__ import annotations

import csv
import html
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 760, 240, 60, 24
_COLORS = ("#1b6ca8", "#d1495b", "#66a182", "#8d6a9f")


def read_history(path: Path) -> list[dict[str, float]]:
    """Reads Locust's ``_stats_history.csv``: one point per second."""
    points = []
    with path.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if row["Name"] != "Aggregated" or row["95%"] in ("", "N/A"):
                continue
            keys = {"Requests/s": "rps", "50%": "p50", "95%": "p95", "99%": "p99"}
            points.append({name: float(row[key]) for key, name in keys.items()})
            points[-1]["t"] = float(row["Timestamp"])
    return points


def draw(title: str, unit: str, series: dict[str, list[tuple[float, float]]]) -> str:
    """Returns an SVG line chart; each series is (seconds, value)."""
    points = [point for line in series.values() for point in line]
    if not points:
        return f"<p>{html.escape(title)}: no point</p>"
    right = max(x for x, _ in points) or 1.0
    top = max(y for _, y in points) * 1.1 or 1.0

    def place(x: float, y: float) -> str:
        across = _LEFT + x / right * (_WIDTH - _LEFT - 10)
        return f"{across:.1f},{_HEIGHT - _BOTTOM - y / top * (_HEIGHT - _BOTTOM - 30):.1f}"

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">']
    parts.append(f'<text x="{_LEFT}" y="14" font-weight="bold">{html.escape(title)}</text>')
    for share in (0, 0.25, 0.5, 0.75, 1):
        x1, y = place(0, top * share).split(",")
        ends = f'x1="{x1}" x2="{_WIDTH - 10}" y1="{y}" y2="{y}"'
        parts.append(f'<line {ends} stroke="#ddd"/>')
        parts.append(f'<text x="4" y="{y}" dy="4">{top * share:.4g}</text>')
    for number, (name, values) in enumerate(series.items()):
        color = _COLORS[number % len(_COLORS)]
        path = " ".join(place(x, y) for x, y in values)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts.append(
            f'<text x="{_WIDTH - 260 + 85 * number}" y="14" fill="{color}">'
            f"{html.escape(name)}</text>"
        )
    parts.append(f'<text x="{_WIDTH - 150}" y="{_HEIGHT - 4}">seconds, up to {right:.0f}</text>')
    parts.append(f'<text x="4" y="{_HEIGHT - 4}">{html.escape(unit)}</text></svg>')
    return "".join(parts)


def write_report(
    path: Path, *, title: str, history: list[dict[str, float]],
    memory: list[tuple[float, float]], figures: dict[str, Any], rows: list[dict[str, str]],
) -> None:  # fmt: skip
    """Writes the report.

    Args:
        path: The HTML file.
        title: What was run.
        history: Points of :func:`read_history`.
        memory: (seconds, megabytes) of the server.
        figures: Name to value, for the table at the top.
        rows: Locust's ``_stats.csv``: one a kind of request.
    """
    start = history[0]["t"] if history else 0.0
    lines = {
        name: [(point["t"] - start, point[name]) for point in history]
        for name in ("rps", "p50", "p95", "p99")
    }
    head = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(str(value))}</td></tr>"
        for name, value in figures.items()
    )
    columns = ["Name", "Request Count", "Failure Count", "Requests/s", "50%", "95%", "99%", "100%"]
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(row[column])}</td>" for column in columns) + "</tr>"
        for row in rows
    )
    names = "".join(f"<th>{column}</th>" for column in columns)
    charts = (
        draw("Requests per second", "1/s", {"requests": lines["rps"]})
        + draw("Latency", "ms", {name: lines[name] for name in ("p50", "p95", "p99")})
        + draw("Memory of the server", "MB", {"resident": memory})
    )
    path.write_text(
        "<!doctype html><meta charset=utf-8><title>mien load test</title><style>"
        "body{font:14px system-ui;max-width:800px;margin:2em auto}svg{width:100%;font-size:12px}"
        "td,th{padding:2px 10px;text-align:left;border-bottom:1px solid #ddd}</style>"
        f"<h1>{html.escape(title)}</h1><table>{head}</table>{charts}"
        f"<h2>By request</h2><table><tr>{names}</tr>{body}</table>",
        encoding="utf-8",
    )
