"""``compare``: evaluate, measure, rank, and test neighbours against each other."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien import evaluation
from mien.comparison.costs import RunCosts, measure_latency, read_costs
from mien.config import read_values
from mien.data import as_manifest
from mien.errors import ConfigError, MissingExtraError
from mien.recognizer import EmotionRecognizer
from mien.reporting.pages import draw, render
from mien.reporting.text import markdown_table
from mien.reporting.theme import LIGHT, add_legend, label_axes, new_figure, series_style
from mien.training.directory import ARGS, METRICS, plot_runs, read_history

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.figure import Figure

    from mien.data import Manifest
    from mien.evaluation import Comparison
    from mien.reporting.theme import Theme

HEADER = (
    "run", "accuracy", "95 % interval", "balanced", "macro-F1", "ECE", "NLL", "parameters", "MACs",
    "MB", "ms (1)", "ms (32)", "epochs", "minutes", "p to next",
)  # fmt: skip


@dataclass(frozen=True)
class RunRow:
    """One run.

    Args:
        run: Name of its folder, or its path where folders of several runs have that name.
        model: ``<architecture>.<tag>``.
        scores: See :meth:`mien.evaluation.Evaluation.scores`.
        costs: Size and training.
        latency_ms: Milliseconds per face with one face and with 32 at once, or None.
        against_next: McNemar's test against the next run of the ranking; None for the last.
    """

    run: str
    model: str
    scores: dict[str, Any]
    costs: RunCosts
    latency_ms: tuple[float, float] | None
    against_next: Comparison | None

    def cells(self) -> list[str]:
        """Returns what :data:`HEADER` names, as text; empty where it is not known."""
        m, c = self.scores, self.costs
        low, high = m["accuracy_ci"]
        one, many = self.latency_ms or (None, None)
        p = None if self.against_next is None else self.against_next.p_value
        return [
            self.run, f"{m['accuracy']:.2%}", f"{low:.2%} to {high:.2%}",
            f"{m['balanced_accuracy']:.3f}", f"{m['macro_f1']:.3f}", f"{m['ece']:.3f}",
            f"{m['nll']:.3f}", _shown(c.parameters, "{:.2f}M", 1e6), _shown(c.macs, "{:.1f}M", 1e6),
            f"{c.bytes / 1e6:.2f}", _shown(one, "{:.2f}"), _shown(many, "{:.2f}"),
            _shown(c.epochs, "{:.0f}"), _shown(c.minutes, "{:.1f}"), _shown(p, "{:.2g}"),
        ]  # fmt: skip


def _shown(value: float | None, form: str, unit: float = 1.0) -> str:
    return "" if value is None else form.format(value / unit)


@dataclass(frozen=True)
class RunComparison:
    """Runs on the same faces, best accuracy first.

    Args:
        data: The dataset's spec.
        split: The split scored.
        rows: The runs.
        histories: A row per epoch, by run; of those that mien trained.
        recipes: The recipe, by run; of those that mien trained.
        unreadable: Names of pictures that could not be read and were left out.
    """

    data: str
    split: str
    rows: tuple[RunRow, ...]
    histories: Mapping[str, list[dict[str, float]]] = field(default_factory=dict)
    recipes: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    unreadable: tuple[str, ...] = ()

    def differences(self) -> dict[str, dict[str, Any]]:
        """Returns the keys in which the recipes differ: the value in each run that has one."""
        keys = list(dict.fromkeys(key for recipe in self.recipes.values() for key in recipe))
        found = {key: {run: r.get(key) for run, r in self.recipes.items()} for key in keys}
        return {k: values for k, values in found.items() if len(set(map(str, values.values()))) > 1}

    def _table(self) -> tuple[list[str], list[list[str]]]:
        """Returns header and rows, without the columns in which no run has anything."""
        rows = [row.cells() for row in self.rows]
        kept = [at for at, column in enumerate(zip(*rows, strict=True)) if any(column)]
        return [HEADER[at] for at in kept], [[row[at] for at in kept] for row in rows]

    def _recipe_table(self) -> tuple[tuple[str, ...], list[list[str]]]:
        rows = [[key, *map(str, values.values())] for key, values in self.differences().items()]
        return ("key", *self.recipes), rows

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types."""
        rows = []
        for row in self.rows:
            test = None if row.against_next is None else row.against_next.to_dict()
            latency = None if row.latency_ms is None else list(row.latency_ms)
            rows.append({**asdict(row), "latency_ms": latency, "against_next": test})
        found: dict[str, Any] = {"data": self.data, "split": self.split, "runs": rows}
        found |= {"unreadable": list(self.unreadable)} if self.unreadable else {}
        return {**found, "differences": self.differences()}

    def markdown(self) -> str:
        """Returns a Markdown table and what its columns mean."""
        table = markdown_table(*self._table())
        header, rows = self._recipe_table()
        recipes = f"\nWhere the recipes differ:\n\n{markdown_table(header, rows)}\n" if rows else ""
        return f"{table}\n\n{self.note}\n{recipes}"

    def plot_curves(self, theme: Theme = LIGHT) -> Figure:
        """Draws the curves of the runs over each other, of those that mien trained.

        Raises:
            ConfigError: If none of them has any.
        """
        if not self.histories:
            raise ConfigError("none of the runs has curves: mien did not train them.")
        return plot_runs(self.histories, theme)

    def plot(self, theme: Theme = LIGHT) -> Figure:
        """Draws accuracy and its 95 % interval against ms or megabytes (extra ``eval``)."""
        figure, axes = new_figure(theme, 7.6, 4.6)
        from matplotlib.ticker import LogLocator

        timed = all(row.latency_ms is not None for row in self.rows)
        for index, row in enumerate(self.rows):
            cost = row.latency_ms[0] if row.latency_ms else row.costs.bytes / 1e6
            low, high = (100 * value for value in row.scores["accuracy_ci"])
            color, shape = series_style(index)
            axes.vlines(cost, low, high, color=color, linewidth=1.2)
            share = 100 * row.scores["accuracy"]
            axes.plot(cost, share, shape, color=color, markersize=6, label=row.run)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
        axes.margins(x=0.15)
        unit = "milliseconds per face" if timed else "megabytes"
        label_axes(axes, theme, f"{unit} (log)", "accuracy, %")
        add_legend(axes, theme, loc="center left", bbox_to_anchor=(1.0, 0.5))
        return figure

    def html(self) -> str:
        """Returns the comparison as one self-contained page (extra ``eval``)."""
        recipes = self._recipe_table()
        return render(
            "tables.html",
            title=f"{len(self.rows)} runs compared",
            subtitle=f"{self.data}, {self.split}",
            tables=[
                ("", *self._table()),
                *([("Where the recipes differ", *recipes)] if recipes[1] else []),
            ],
            notes=[self.note],
            diagrams=[
                ("Accuracy against cost", draw(self.plot)),
                *([("Curves", draw(self.plot_curves))] if self.histories else []),
            ],
        )

    @property
    def note(self) -> str:
        """What the columns mean, in sentences."""
        timing = (
            "ms: milliseconds per face in ONNX Runtime with one face and with 32 at once, measured "
            "in turns in one process; compare them within this table only. "
        )
        timed = any(row.latency_ms for row in self.rows)
        return (
            f"n = {self.rows[0].scores['n']} faces of {self.split}. {timing if timed else ''}"
            "p to next: McNemar's exact test against the row below, not corrected for the number "
            "of rows."
        )


def _name_runs(paths: Sequence[Path]) -> list[str]:
    counts = Counter(path.name for path in paths)
    return [path.name if counts[path.name] == 1 else path.as_posix() for path in paths]


def compare(
    models: Sequence[str | Path],
    data: str | Sequence[str] | Manifest,
    *,
    split: str = "valid",
    timing: bool = True,
    threads: int = 0,
    progress: Callable[[int], None] | None = None,
) -> RunComparison:
    """Scores runs on the same faces and sets them side by side.

    Pictures that cannot be read are left out and counted in a warning.

    Args:
        models: Two model folders or bundled names, or more.
        data: Labelled faces: a dataset's spec or a manifest.
        split: The split to score.
        timing: Measure milliseconds too.
        threads: Threads inside one network run; 0: as many as there are cores.
        progress: Called with the number of faces just finished.

    Raises:
        ConfigError: If there are fewer than two runs, or labels do not meet.
        DataError: If the split is missing.
        ModelError: If a run cannot be loaded.

    >>> found = mien.compare(["runs/train", "runs/other"], "folder:faces", timing=False)
    >>> found.rows[0].run
    'train'
    """
    models = [models] if isinstance(models, (str, Path)) else models
    if len(models) < 2:
        raise ConfigError(f"a comparison needs two runs or more; got {len(models)}.")
    manifest = as_manifest(data, runs=models)
    opened = [EmotionRecognizer(m, detector="none", threads=threads) for m in models]
    found = [evaluation.evaluate(each, manifest, split=split, progress=progress) for each in opened]
    latency = measure_latency(opened) if timing else [None] * len(opened)
    order = sorted(range(len(found)), key=lambda i: -found[i].scores()["accuracy"])
    names = _name_runs([each.folder.path for each in opened])
    rows = []
    for index, following in zip_longest(order, order[1:]):
        folder = opened[index].folder
        test = None if following is None else evaluation.compare(found[index], found[following])
        scores, costs = found[index].scores(), read_costs(folder)
        row = RunRow(names[index], folder.config.name, scores, costs, latency[index], test)
        rows.append(row)
    folders = {names[index]: opened[index].folder.path for index in order}
    read = {n: read_history(p / METRICS) for n, p in folders.items() if (p / METRICS).is_file()}
    histories = {name: rows for name, rows in read.items() if rows and "valid_loss" in rows[0]}
    recipes = {}
    with suppress(MissingExtraError):  # PyYAML comes with the extra train
        recipes = {n: read_values(p / ARGS) for n, p in folders.items() if (p / ARGS).is_file()}
    unreadable = found[0].unreadable
    return RunComparison(manifest.source, split, tuple(rows), histories, recipes, unreadable)
