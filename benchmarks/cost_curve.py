"""Hours and money of a million pictures, from rates that ``benchmarks/jobs.py`` measured.

    python benchmarks/cost_curve.py faces.json photos.json -o docs/images/costs.png

prints the table of ``docs/jobs.md`` and draws hours against cores. A rate is that of a core,
pictures per second with the engine ``local``, steady; with ``--cpu`` one over the processor time
per picture, which a busy machine changes less. Several machines count at ``--efficiency``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from mien.reporting.theme import (
    LIGHT,
    add_legend,
    label_axes,
    new_figure,
    save_figure,
    series_style,
)

PICTURES = 1_000_000
#: Cores of one machine: beyond them there are several.
MACHINE = 32
CORES = (1, 4, 32, 256)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reports", type=Path, nargs="+")
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--price", type=float, default=0.05, help="of a core and hour")
    parser.add_argument("--efficiency", type=float, default=0.85, help="of several machines")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    rates = dict(read_rate(path, cpu=given.cpu) for path in given.reports)
    print(f"| a million | per second and core | {' | '.join(map(cores_name, CORES))} | money |")
    print(f"|---|{'---|' * (len(CORES) + 2)}")
    for name, rate in rates.items():
        spent = [hours(rate, cores, given.efficiency) for cores in CORES]
        ends = sorted({f"{given.price * h * c:.2f}" for h, c in zip(spent, CORES, strict=True)})
        times = " | ".join(map(in_words, spent))
        print(f"| {name} | {rate:,.0f} | {times} | {' to '.join(ends)} |")
    draw(rates, given.efficiency, given.output)


def read_rate(path: Path, *, cpu: bool) -> tuple[str, float]:
    """Returns what a report is of, and pictures per second and core."""
    report = json.loads(path.read_text(encoding="utf-8"))
    name = f"photos of {report['side']} pixels, one face each"
    if report["detector"] == "none":
        name = f"ready faces of {report['side']} pixels"
    if cpu:
        return name, 1000 / report["engines"]["local"]["cpu_ms"]
    return name, report["per_s_and_core"]["local"]


def hours(rate: float, cores: float, efficiency: float) -> float:
    """Returns the hours that a million pictures take.

    >>> round(hours(100, 4, 0.85), 3), round(hours(100, 64, 0.85), 3)
    (0.694, 0.051)
    """
    return PICTURES / (rate * cores * (efficiency if cores > MACHINE else 1.0)) / 3600


def cores_name(cores: int) -> str:
    """Says how many cores on how many machines."""
    if cores > MACHINE:
        return f"{cores // MACHINE} machines of {MACHINE}"
    return f"{cores} core{'s' * (cores > 1)}"


def in_words(value: float) -> str:
    """Writes hours as hours, minutes or seconds.

    >>> in_words(4.06), in_words(0.128), in_words(0.0026)
    ('4.1 h', '7.7 min', '9 s')
    """
    if value >= 1:
        return f"{value:.1f} h"
    return f"{60 * value:.1f} min" if value >= 1 / 60 else f"{3600 * value:.0f} s"


def draw(rates: dict[str, float], efficiency: float, path: Path) -> None:
    """Draws hours against cores, both on logarithmic scales."""
    figure, axes = new_figure(LIGHT, 7.2, 4.2)
    machine, several = np.geomspace(1, MACHINE, 50), np.geomspace(MACHINE + 1, 512, 50)
    for index, (name, rate) in enumerate(rates.items()):
        color, marker = series_style(index)
        for part in (machine, several):
            axes.plot(part, [hours(rate, c, efficiency) for c in part], color=color)
        marked = [hours(rate, c, efficiency) for c in CORES]
        axes.plot(CORES, marked, marker, color=color, label=f"{name}: {rate:,.0f} per s and core")
        for cores, value in zip(CORES, marked, strict=True):
            axes.annotate(
                in_words(value), (cores, value), (6, 6), textcoords="offset points",
                fontsize=8.5, color=LIGHT.ink,
            )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlim=(0.9, 600))
    axes.set_xticks(CORES, [cores_name(cores) for cores in CORES], minor=False)
    axes.minorticks_off()
    ticks = (0.001, 0.01, 0.1, 1, 10, 100)
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    slowest, fastest = min(rates.values()), max(rates.values())
    axes.set_ylim(hours(fastest, 900, efficiency), 4 * hours(slowest, 1, efficiency))
    label_axes(axes, LIGHT, "", "hours for a million")
    add_legend(axes, LIGHT)
    save_figure(figure, path)


if __name__ == "__main__":
    main()
