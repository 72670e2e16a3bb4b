"""``tune``: trial after trial until the study has as many as asked for."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import optuna
from optuna import TrialPruned
from optuna.trial import TrialState

from mien.atomic import log_level, write_text
from mien.errors import ConfigError
from mien.reporting import save_figure
from mien.training.config import TrainConfig
from mien.training.distributed.launch import must_launch
from mien.training.network import trained_spec
from mien.training.run import check_parts, train
from mien.training.tuning.charts import plot_history, plot_importances
from mien.training.tuning.folder import (
    DATABASE,
    MARKER,
    identity_of,
    join_study,
    prepare_folder,
    sqlite_url,
)
from mien.training.tuning.reporter import TrialReporter
from mien.training.tuning.result import best_recipe_text, read_result, trial_rows, trials_csv
from mien.training.tuning.search import make_pruner, make_sampler
from mien.training.tuning.space import Choice, check_space
from mien.training.tuning.storage import hide_password, naming_storage, open_storage
from mien.training.tuning.workers import count_finished, put_back, put_back_lost, this_worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from optuna import Study, Trial

    from mien.training.tuning.config import TuneConfig
    from mien.training.tuning.result import TrialRow, TuneResult
    from mien.training.tuning.space import Space

#: Seconds between two queries of a study whose last trials others are running.
_POLL_S = 1.0


def tune(
    recipe: TrainConfig,
    space: Space,
    *,
    output: Path,
    settings: TuneConfig,
    resume: bool = False,
    done: Callable[[TrialRow], None] | None = None,
) -> TuneResult:
    """Searches a space of recipes; every trial is a run directory of its own.

    Several workers may call it with one ``storage`` and study: each draws trials until the study
    has as many as asked for. A trial whose worker died is run again.

    Args:
        recipe: What all trials share.
        space: Keys that are drawn, see :func:`mien.training.tuning.space.make_space`.
        output: Folder of the trials, ``trials.csv``, ``best.yaml`` and the pictures.
        settings: How to search.
        resume: Go on with the study in ``output``; a shared one is gone on with in any case.
        done: Called with each trial that this worker finished.

    Raises:
        ConfigError: If recipe, space or settings are impossible, or the study was started with
            other ones.
        DataError: If no trial came to its end.
        ModelError: If the database cannot be used.
        KeyboardInterrupt: If it was stopped by hand; the trial is put back.
    """
    total = _check(recipe, space, settings)
    name = settings.study or output.resolve().name
    url = settings.storage or sqlite_url(output.resolve() / DATABASE)
    prepare_folder(output, name, shared=bool(settings.storage), resume=resume)
    with log_level(optuna.logging.ERROR, "optuna"), naming_storage(url):
        storage = open_storage(url, heartbeat=settings.heartbeat, when_stale=put_back)
        try:
            study = optuna.create_study(
                storage=storage,
                study_name=name,
                load_if_exists=True,
                pruner=make_pruner(settings, recipe),
                direction="maximize" if settings.maximise else "minimize",
            )
            join_study(study, identity_of(recipe, space, settings))
            output.mkdir(parents=True, exist_ok=True)
            about = {"study": name, "storage": hide_password(url), **study.user_attrs}
            write_text(output / MARKER, json.dumps(about, indent=2) + "\n")
            objective = _Objective(study, recipe, space, output=output, metric=settings.metric)
            _work(study, objective, settings, total=total, done=done)
            return _report(study, recipe, metric=settings.metric, output=output)
        finally:
            storage.engine.dispose()


def _check(recipe: TrainConfig, space: Space, settings: TuneConfig) -> int:
    """Checks what can be checked before anything is written; returns the number of trials."""
    if not recipe.data:
        raise ConfigError("no dataset: give --data KIND:PATH, for example --data folder:faces.")
    check_space(space, recipe)
    if must_launch(recipe):
        raise ConfigError(
            "devices and num_nodes: a trial trains in one process. Leave them at 1 and start the "
            "command once more for each device, with one --storage."
        )
    total = settings.trials
    if settings.sampler == "grid":
        size = 1
        for key, dimension in space.items():
            size *= len(dimension.points(key))
        total = min(total, size)
    trained_spec(recipe)
    check_parts(recipe)
    for key, dimension in space.items():
        for value in dimension.values if isinstance(dimension, Choice) else ():
            try:
                config = TrainConfig.make({**recipe.to_dict(), key: value})
            except ConfigError:
                continue  # possible only with other values, see check_space
            trained_spec(config)
            check_parts(config)
    return total


class _Objective:
    """Trains one trial in a folder of its own."""

    def __init__(
        self, study: Study, recipe: TrainConfig, space: Space, *, output: Path, metric: str
    ) -> None:
        self.study, self.recipe, self.space = study, recipe, space
        self.output, self.metric = output, metric
        self.number = -1

    def __call__(self, trial: Trial) -> float:
        self.number = trial.number
        folder = self.output / f"trial_{trial.number:04d}"
        trial.set_user_attr("worker", this_worker())
        trial.set_user_attr("folder", folder.name)
        try:
            drawn = {key: dimension.draw(key, trial) for key, dimension in self.space.items()}
            config = TrainConfig.make({**self.recipe.to_dict(), **drawn}, source=folder.name)
            reporter = TrialReporter(trial, self.metric)
            train(config, folder, progress=False, callbacks=[reporter])
            value = reporter.value
        except TrialPruned:
            raise
        except KeyboardInterrupt:
            put_back(self.study, self.study.get_trials(deepcopy=False)[trial.number])
            raise
        except Exception as error:
            trial.set_user_attr("error", f"{type(error).__name__}: {error}"[:500])
            raise
        return value


def _work(
    study: Study,
    objective: _Objective,
    settings: TuneConfig,
    *,
    total: int,
    done: Callable[[TrialRow], None] | None,
) -> None:
    """Runs trials until the study has ``total`` finished ones, or the time is up."""
    began = time.monotonic()
    while not settings.timeout or time.monotonic() - began < settings.timeout:
        put_back_lost(study, heartbeat=settings.heartbeat)
        trials = study.get_trials(deepcopy=False)
        finished = count_finished(trials)
        if finished >= total:
            return
        if finished + sum(trial.state == TrialState.RUNNING for trial in trials) >= total:
            # Others run the last ones; should they die, theirs are to be run again here.
            time.sleep(_POLL_S)
            continue
        study.sampler = make_sampler(settings, objective.space, len(trials))
        try:
            study.optimize(objective, n_trials=1, catch=(Exception,), gc_after_trial=True)
        except ValueError:
            # This worker was silent for so long that others took its trial for lost.
            if not trial_rows(study)[objective.number].state == "lost":
                raise
        if done:
            done(trial_rows(study)[objective.number])


def _report(study: Study, recipe: TrainConfig, *, metric: str, output: Path) -> TuneResult:
    """Writes the table, the best recipe and the pictures."""
    write_text(output / "trials.csv", trials_csv(trial_rows(study)))
    result = read_result(study, recipe, metric=metric, output=output)
    write_text(output / "best.yaml", best_recipe_text(result))
    save_figure(plot_history(result), output / "history.png")
    if result.importances:
        save_figure(plot_importances(result), output / "importances.png")
    return result
