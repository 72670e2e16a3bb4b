"""What a benchmark found: a value with ``to_dict`` and Markdown, and files of three forms."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mien.benchmarking.config import BenchmarkConfig
from mien.benchmarking.machine import machine_line
from mien.benchmarking.measuring import STAGES
from mien.benchmarking.spread import Spread
from mien.errors import ConfigError
from mien.reporting import LIGHT, draw, markdown_table, render

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from mien.reporting import Theme

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

    Args:
        model: As it was named.
        detector: What found the faces.
        bytes: Size of the network's file.
        photo_ms: Milliseconds per photo: ``total`` and each of the stages.
        throughput: ``threads``, ``batch_size``, ``crops_per_second`` by pair.
        overhead: ``batch_size`` and ``ratio``, the share of the bare session's speed that
            ``predict_faces`` keeps.
        start_s: Seconds from the start of a process to its first answer, or None.
        peak_mb: Most memory of such a process after 21 photos, 10^6 bytes, or None.
    """

    model: str
    detector: str
    bytes: int
    photo_ms: dict[str, Spread]
    throughput: list[dict[str, Any]]
    overhead: list[dict[str, Any]]
    start_s: Spread | None
    peak_mb: Spread | None

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types."""
        plain: dict[str, Any] = _plain(vars(self))
        return plain

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> ModelFigures:
        """Builds it from :meth:`to_dict`'s form."""
        fields: dict[str, Any] = _spreads(dict(value))
        return cls(**fields)

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
    """What ``mien benchmark`` prints and writes.

    Args:
        machine: Of :func:`mien.benchmarking.machine.describe_machine`.
        config: The settings.
        photos: ``name``, ``width``, ``height`` and ``faces`` found, by photo.
        models: What was measured.
    """

    machine: dict[str, Any]
    config: BenchmarkConfig
    photos: list[dict[str, Any]]
    models: list[ModelFigures]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types."""
        return {
            "format": FORMAT,
            "kind": KIND,
            "machine": self.machine,
            "settings": _plain(asdict(self.config)),
            "photos": self.photos,
            "models": [figures.to_dict() for figures in self.models],
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> BenchmarkReport:
        """Builds it from :meth:`to_dict`'s form.

        Raises:
            ConfigError: If it is no such report, or of another format.
        """
        if (value.get("kind"), value.get("format")) != (KIND, FORMAT):
            raise ConfigError(
                (
                    "not the JSON of a benchmark that this version reads: kind "
                    f"{value.get('kind')!r}, format {value.get('format')!r}"
                ),
                hint="Type: mien benchmark -o FILE.json",
            )
        settings: dict[str, Any] = {
            name: tuple(item) if isinstance(item, list) else item
            for name, item in value["settings"].items()
        }
        models = [ModelFigures.from_dict(item) for item in value["models"]]
        return cls(value["machine"], BenchmarkConfig(**settings), value["photos"], models)

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
        stages = [
            [one.model, *(one.photo_ms[stage].text(2) for stage in STAGES)] for one in self.models
        ]
        speeds = [
            [
                one.model,
                str(row["threads"]),
                str(row["batch_size"]),
                row["crops_per_second"].text(0),
            ]
            for one in self.models
            for row in one.throughput
        ]
        ratios = [
            [one.model, str(row["batch_size"]), row["ratio"].text(3)]
            for one in self.models
            for row in one.overhead
        ]
        return [
            ("A photo", _MODEL_HEADER, [one.cells() for one in self.models]),
            ("Its stages, ms", ("model", *STAGES), stages),
            ("Crops per second", ("model", "threads", "batch", "crops/s"), speeds),
            ("`predict_faces` and the bare session", ("model", "batch", "share of speed"), ratios),
        ]  # fmt: skip

    def markdown(self) -> str:
        """Returns the tables as Markdown, with how they came about below."""
        tables = [f"{title}\n\n{markdown_table(head, rows)}" for title, head, rows in self.tables()]
        return "\n\n".join([*tables, self.note, machine_line(self.machine)]) + "\n"

    def plot(self, theme: Theme = LIGHT) -> Figure:
        """Draws the stages of a photo (extra ``eval``)."""
        from mien.benchmarking.picture import plot_stages

        return plot_stages(self, theme)

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


def _spreads(value: Any) -> Any:
    """Turns dicts that are spreads back into them; undoes :func:`_plain`."""
    if isinstance(value, dict):
        if value.keys() == Spread.__dataclass_fields__.keys():
            return Spread(**value)
        return {key: _spreads(item) for key, item in value.items()}
    return [_spreads(item) for item in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Spread):
        return value.to_dict()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
