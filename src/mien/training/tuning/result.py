"""What a study found: a row for each trial, the best recipe, what mattered, and its diagrams."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.errors import DataError
from mien.reporting.theme import LIGHT, add_legend, label_axes, new_figure, new_panels
from mien.training.config import TrainConfig
from mien.training.directory import csv_text
from mien.training.tuning.config import show_value
from mien.training.tuning.study import ATTEMPTS, lost_trials

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from optuna import Study
    from optuna.trial import FrozenTrial


#: Complete trials below which nothing is said of what mattered; half of it for each key.
_ENOUGH = 10
_NAMES = {"macro_f1": "macro-F1", "valid_loss": "loss"}


@dataclass(frozen=True)
class TrialRow:
    """A trial, numbered from 0, with the metric: of a pruned one that in its last epoch.

    ``state`` is ``complete``, ``pruned``, ``failed``, ``lost`` (its worker died; run again under
    another number), ``running`` or ``waiting``.
    """

    number: int
    state: str
    value: float | None
    values: dict[str, Any]
    seconds: float | None
    folder: str
    host: str
    error: str


@dataclass(frozen=True)
class TuneResult:
    """A study as it stands: all trials by number, the best complete one and its recipe.

    ``importances`` are the share of each key in the spread of the values, by fANOVA (Hutter et al.
    2014), the largest first; empty where there are fewer than ten complete trials, or than five
    for each key: from so few nothing follows.
    """

    study: str
    metric: str
    maximise: bool
    rows: tuple[TrialRow, ...]
    best: TrialRow
    recipe: TrainConfig
    importances: dict[str, float]
    output: Path

    def ranked(self) -> list[TrialRow]:
        """Returns the complete trials, the best first."""
        complete = [row for row in self.rows if row.state == "complete"]
        return sorted(complete, key=lambda row: row.value or 0.0, reverse=self.maximise)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types."""
        return {
            "study": self.study,
            "metric": self.metric,
            "best": asdict(self.best),
            "recipe": self.recipe.to_dict(),
            "importances": self.importances,
            "trials": [asdict(row) for row in self.rows],
        }


def trial_rows(study: Study) -> tuple[TrialRow, ...]:
    """Returns a row for each trial of a study."""
    trials = study.get_trials(deepcopy=False)
    lost = lost_trials(trials)
    return tuple(_row(trial, lost) for trial in trials)


def _row(trial: FrozenTrial, lost: set[int]) -> TrialRow:
    names = {"FAIL": "lost" if trial.number in lost else "failed"}
    state = names.get(trial.state.name, trial.state.name.lower())
    error = trial.user_attrs.get("error", "")
    if state == "failed" and not error:
        error = f"its worker died, {ATTEMPTS} times in a row"
    return TrialRow(
        number=trial.number,
        state=state,
        value=trial.value,
        values=dict(trial.params),
        seconds=round(trial.duration.total_seconds(), 1) if trial.duration else None,
        folder=trial.user_attrs.get("folder", ""),
        host=trial.user_attrs.get("worker", {}).get("host", ""),
        error=error if state == "failed" else "",
    )


def trials_csv(rows: tuple[TrialRow, ...]) -> str:
    """Returns the trials as a table, a column for each key that was drawn.

    >>> row = TrialRow(0, "complete", 0.5, {"lr": 0.1}, 1.5, "trial_0000", "ada", "")
    >>> print(trials_csv((row,)), end="")
    number,state,value,lr,seconds,folder,host,error
    0,complete,0.5,0.1,1.5,trial_0000,ada,
    """
    keys = list(dict.fromkeys(key for row in rows for key in row.values))
    first, last = ["number", "state", "value"], ["seconds", "folder", "host", "error"]
    table = []
    for row in rows:
        drawn = [row.values.get(key, "") for key in keys]
        before, after = ([getattr(row, name) for name in names] for names in (first, last))
        table.append([*before, *drawn, *after])
    return csv_text([*first, *keys, *last], table)


def read_result(study: Study, recipe: TrainConfig, *, metric: str, output: Path) -> TuneResult:
    """Reads off what a study has found so far."""
    from optuna.study import StudyDirection

    rows = trial_rows(study)
    maximise = study.direction == StudyDirection.MAXIMIZE
    complete = [row for row in rows if row.state == "complete"]
    if not complete:
        errors = [row for row in rows if row.error]
        why = f" The last one: {errors[-1].error}" if errors else ""
        raise DataError(
            f"none of the {len(rows)} trials of study {study.study_name!r} came to its end, "
            f"{len(errors)} failed.{why} See {output / 'trials.csv'}; mend recipe or space and "
            "start with another --output."
        )
    best = next(row for row in rows if row.number == study.best_trial.number)
    return TuneResult(
        study=study.study_name,
        metric=metric,
        maximise=maximise,
        rows=rows,
        best=best,
        recipe=TrainConfig.make({**recipe.to_dict(), **best.values}, source="best trial"),
        importances=_importances(study),
        output=output,
    )


def _importances(study: Study) -> dict[str, float]:
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    complete = [
        trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"
    ]
    keys = {key for trial in complete for key in trial.params}
    if len(complete) < max(_ENOUGH, _ENOUGH // 2 * len(keys)):
        return {}
    try:
        found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    except (ValueError, RuntimeError):
        return {}  # all of one value
    return {key: float(share) for key, share in found.items()}


def best_recipe_text(result: TuneResult) -> str:
    """Returns the best recipe as YAML for ``mien train -c``, with a comment on its score."""
    complete = len(result.ranked())
    head = (
        f"# Trial {result.best.number} of study {json.dumps(result.study)}: {result.metric} "
        f"{result.best.value:.4f} on the valid split,\n# the best of {complete} complete trials, "
        "which flatters it: score it on faces it was not chosen by.\n"
    )
    return head + result.recipe.to_yaml()


def plot_history(result: TuneResult) -> Figure:
    """Draws the value of each trial by its number, and the best one so far."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = new_figure(LIGHT, 6.4, 3.8)
    for state, color, mark in (("pruned", LIGHT.faint, "x"), ("complete", LIGHT.accent, "o")):
        rows = [row for row in result.rows if row.state == state and row.value is not None]
        numbers, values = [row.number for row in rows], [row.value or 0.0 for row in rows]
        if rows:
            axes.plot(numbers, values, mark, color=color, markersize=5.5, label=state)
    # The last were the complete ones, of which there is at least one.
    so_far = np.maximum.accumulate(values) if result.maximise else np.minimum.accumulate(values)
    axes.step(
        [*numbers, max(row.number for row in result.rows)], [*so_far, so_far[-1]], where="post",
        color=LIGHT.second, linewidth=1.8, label="best so far",
    )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.margins(y=0.12)
    add_legend(axes, LIGHT)
    label_axes(axes, LIGHT, "trial", f"{_name(result)}, validation faces")
    return figure


def plot_values(result: TuneResult) -> Figure:
    """Draws the value of each complete trial against each key that was drawn."""
    complete = result.ranked()
    keys = list(dict.fromkeys(key for row in complete for key in row.values))
    figure, panels = new_panels(
        LIGHT, len(keys), 6.0, 0.5 + 2.1 * len(keys), ratios=(1,) * len(keys)
    )
    for key, axes in zip(keys, panels, strict=True):
        rows = [row for row in complete if key in row.values]
        _place(axes, [row.values[key] for row in rows], [row.value or 0.0 for row in rows])
        label_axes(axes, LIGHT, key, _name(result))
    return figure


def plot_grid(result: TuneResult) -> Figure | None:
    """Draws a heat map of two keys with a few values each, or None where there is no such grid.

    A cell has the mean of its trials; one that no trial visited stays empty.
    """
    from matplotlib.colors import LinearSegmentedColormap

    complete = result.ranked()
    keys = list(dict.fromkeys(key for row in complete for key in row.values))
    if len(keys) != 2:
        return None
    values = [sorted({row.values[key] for row in complete}, key=_order) for key in keys]
    sizes = [len(found) for found in values]
    if min(sizes) < 2 or max(sizes) > 12 or len(complete) < 0.5 * sizes[0] * sizes[1]:
        return None
    cells: dict[tuple[int, int], list[float]] = {}
    for row in complete:
        place = tuple(found.index(row.values[k]) for k, found in zip(keys, values, strict=True))
        cells.setdefault((place[0], place[1]), []).append(row.value or 0.0)
    table = np.full(sizes, np.nan)
    for place, found in cells.items():
        table[place] = np.mean(found)
    figure, axes = new_figure(LIGHT, 1.8 + 0.85 * sizes[1], 1.4 + 0.6 * sizes[0])
    axes.grid(visible=False)
    ramp = LinearSegmentedColormap.from_list("mien", LIGHT.heat)
    axes.imshow(table, cmap=ramp, aspect="auto")
    for place in cells:
        dark = (table[place] - np.nanmin(table)) > 0.5 * (np.nanmax(table) - np.nanmin(table))
        axes.text(
            place[1], place[0], f"{table[place]:.3f}", ha="center", va="center", fontsize=9,
            color="#ffffff" if dark else LIGHT.ink,
        )  # fmt: skip
    axes.set_yticks(range(sizes[0]), [show_value(value) for value in values[0]])
    axes.set_xticks(range(sizes[1]), [show_value(value) for value in values[1]])
    label_axes(axes, LIGHT, keys[1], keys[0])
    axes.set_title(f"{_name(result)}, validation faces", loc="left", fontsize=10, color=LIGHT.ink)
    return figure


def _order(value: object) -> tuple[bool, Any]:
    """Sorts numbers by their value, before words by the alphabet."""
    is_number = isinstance(value, (int, float))
    return not is_number, value if is_number else str(value)


def _place(axes: Axes, values: list[Any], scores: list[float]) -> None:
    """Draws scores against the values of a key: a scale of numbers, or a place for each word."""
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        axes.plot(values, scores, "o", color=LIGHT.accent, markersize=5.5)
        if min(values) > 0 and max(values) > 20 * min(values):
            axes.set_xscale("log")
    else:
        names = sorted({str(value) for value in values})
        at = [names.index(str(value)) for value in values]
        axes.plot(at, scores, "o", color=LIGHT.accent, markersize=5.5)
        axes.set_xticks(range(len(names)), names)
        axes.margins(x=0.2)
    axes.margins(y=0.12)


def plot_importances(result: TuneResult) -> Figure:
    """Draws each key's share in the spread of the values, the largest at the top."""
    pairs = list(reversed(result.importances.items()))
    figure, axes = new_figure(LIGHT, 6.4, 1.2 + 0.36 * len(pairs))
    keys, shares = zip(*pairs, strict=True)
    bars = axes.barh(keys, shares, color=LIGHT.accent, height=0.62)
    told = [f"{share:.0%}" for share in shares]
    axes.bar_label(bars, told, padding=4, color=LIGHT.ink, fontsize=9)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, 1.1 * max(*result.importances.values(), 0.01))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    label_axes(axes, LIGHT, f"share in the spread of the {_name(result)}", "")
    return figure


def _name(result: TuneResult) -> str:
    return _NAMES.get(result.metric, result.metric)
