"""What a benchmark found: a value with ``to_dict`` and Markdown, and files of three forms."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mien.benchmarking.config import BenchmarkConfig
from mien.benchmarking.machine import machine_line
from mien.benchmarking.measuring import STAGES
from mien.benchmarking.timing import Spread
from mien.errors import ConfigError
from mien.reporting.pages import draw, render
from mien.reporting.text import markdown_table
from mien.reporting.theme import LIGHT, Theme

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure


#: Version of the JSON; readers refuse others.
FORMAT = 1
KIND = "mien benchmark"
_MODEL_HEADER = (
    "model", "detector", "MB", "photo p50, ms", "p95, ms", "p99, ms", "first answer, s",
    "peak memory, MB",
)  # fmt: skip


@dataclass(frozen=True)
class ModelFigures:
    """What was measured of one model.

    ``bytes`` is the size of the network's file, ``peak_mb`` the most memory (10^6 bytes) of a fresh
    process after 21 photos, ``start_s`` its time to the first answer.
    """

    model: str
    detector: str
    bytes: int
    photo_ms: dict[str, Spread]
    throughput: list[dict[str, Any]]
    overhead: list[dict[str, Any]]
    start_s: Spread | None
    peak_mb: Spread | None

    def cells(self) -> list[str]:
        """Returns the row of the first table."""
        total = self.photo_ms["total"]
        return [
            self.model, self.detector, f"{self.bytes / 1e6:.1f}", total.text(),
            f"{total.p95:.1f}", f"{total.p99:.1f}",
            "not measured" if self.start_s is None else self.start_s.text(2),
            "not measured" if self.peak_mb is None else self.peak_mb.text(0),
        ]  # fmt: skip


@dataclass(frozen=True)
class BenchmarkReport:
    """What ``mien benchmark`` prints and writes."""

    machine: dict[str, Any]
    config: BenchmarkConfig
    photos: list[dict[str, Any]]
    models: list[ModelFigures]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types."""
        return {
            "format": FORMAT, "kind": KIND, "machine": self.machine,
            "settings": _plain(asdict(self.config)), "photos": self.photos,
            "models": [_plain(vars(figures)) for figures in self.models],
        }  # fmt: skip

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> BenchmarkReport:
        """Builds it from :meth:`to_dict`'s form."""
        kind, form = value.get("kind"), value.get("format")
        if (kind, form) != (KIND, FORMAT):
            raise ConfigError(
                "not the JSON of a benchmark that this version reads: kind "
                f"{kind!r}, format {form!r}",
                hint="Type: mien benchmark -o FILE.json",
            )
        models = [ModelFigures(**_spreads(item)) for item in value["models"]]
        config = BenchmarkConfig.make(value["settings"], source="settings")
        return cls(value["machine"], config, value["photos"], models)

    @property
    def note(self) -> str:
        """How the figures came about, in words."""
        c, photos = self.config, self.photos
        first = photos[0]
        what = (
            f"{first['name']} ({first['width']}x{first['height']}, {first['faces']} face(s))"
            if len(photos) == 1
            else f"{len(photos)} photos with {sum(one['faces'] for one in photos)} faces in all"
        )
        return (
            f"Measured on {what}. Medians, the quartiles in brackets: {max(c.repeats, len(photos))}"
            f" photos, {c.rounds} turns of each throughput and ratio, {c.starts} fresh processes "
            f"after one that does not count; {c.warm_up} runs of each to warm up. A photo's time "
            "runs from its path to its result; drawing comes on top. Several models take turns."
        )

    def tables(self) -> list[tuple[str, Sequence[str], list[list[str]]]]:
        """Returns the tables: title, header, rows."""
        photos, stages, speeds, ratios = [], [], [], []
        for one in self.models:
            photos.append(one.cells())
            stages.append([one.model, *(one.photo_ms[stage].text(2) for stage in STAGES)])
            for row in one.throughput:
                pair = [str(row["threads"]), str(row["batch_size"])]
                speeds.append([one.model, *pair, row["crops_per_second"].text(0)])
            ratios += [
                [one.model, str(row["batch_size"]), row["ratio"].text(3)] for row in one.overhead
            ]
        return [
            ("A photo", _MODEL_HEADER, photos),
            ("Its stages, ms", ("model", *STAGES), stages),
            ("Crops per second", ("model", "threads", "batch", "crops/s"), speeds),
            ("`predict_faces` and the bare session", ("model", "batch", "share of speed"), ratios),
        ]

    def markdown(self) -> str:
        """Returns the tables as Markdown, with how they came about below."""
        tables = [f"{title}\n\n{markdown_table(head, rows)}" for title, head, rows in self.tables()]
        return "\n\n".join([*tables, self.note, machine_line(self.machine)]) + "\n"

    def plot(self, theme: Theme = LIGHT) -> Figure:
        """Draws the stages of a photo, a group of bars for each model (extra ``eval``)."""
        from mien.reporting.theme import add_legend, label_axes, new_figure, series_style

        count = len(self.models)
        figure, axes = new_figure(theme, 7.6, 1.4 + 0.34 * count * len(STAGES))
        for index, figures in enumerate(self.models):
            color, _ = series_style(index)
            for row, stage in enumerate(STAGES):
                spread, y = figures.photo_ms[stage], row + (index - (count - 1) / 2) * 0.8 / count
                name = figures.model if row == 0 else None
                axes.barh(y, spread.median, height=0.7 / count, color=color, label=name)
                axes.hlines(y, spread.low, spread.high, color=theme.ink, linewidth=1.2)
                axes.annotate(
                    f"{spread.median:.2f}", (max(spread.median, spread.high), y), xytext=(4, 0),
                    textcoords="offset points", va="center", fontsize=8.5, color=theme.ink,
                )  # fmt: skip
        axes.set_yticks(range(len(STAGES)), STAGES)
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.grid(visible=False, axis="y")
        label_axes(axes, theme, "milliseconds per photo: median, quartiles as a line", "")
        add_legend(axes, theme, loc="lower right")
        return figure

    def html(self) -> str:
        """Returns the report as one self-contained page (extra ``eval``)."""
        return render(
            "tables.html",
            title="mien benchmark",
            subtitle=", ".join(one.model for one in self.models),
            tables=[(title.replace("`", ""), head, rows) for title, head, rows in self.tables()],
            diagrams=[("Where a photo's time goes", draw(self.plot))],
            notes=[self.note, machine_line(self.machine)],
        )


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=Spread.to_dict))


def _spreads(value: Any) -> Any:
    """Turns dicts that are spreads back into them; undoes :func:`_plain`."""
    names = Spread.__dataclass_fields__.keys()
    return json.loads(
        json.dumps(value), object_hook=lambda one: Spread(**one) if one.keys() == names else one
    )
