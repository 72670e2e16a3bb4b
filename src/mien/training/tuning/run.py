"""``tune``: trial after trial until the study has as many as asked for."""

from __future__ import annotations

import json
import math
import time
import warnings
import zlib
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import optuna
import torch
from optuna import TrialPruned
from optuna.trial import TrialState

from mien.atomic import log_level, write_text
from mien.data import read_manifest
from mien.errors import ConfigError, DataError, MienError
from mien.locks import locked
from mien.metrics import macro_f1
from mien.reporting.theme import save_figure
from mien.training.config import TrainConfig, check_data
from mien.training.directory import best_epoch
from mien.training.distributed.launch import must_launch
from mien.training.hooks import Callback
from mien.training.run import check_parts, train
from mien.training.tuning import result as results
from mien.training.tuning import study as studies
from mien.training.tuning.config import Choice, Space, TuneConfig, check_space

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from optuna import Study, Trial
    from optuna.storages import RDBStorage
    from torch import Tensor

    from mien.training.loop import Trainer
    from mien.training.tuning.result import TrialRow, TuneResult

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
    """Searches a space of recipes, see :func:`mien.training.tuning.tune`.

    Several workers may call it with one ``storage`` and study: each draws trials until the study
    has as many as asked for. A trial whose worker died is run again.
    """
    total = _check(recipe, space, settings)
    if not settings.storage:
        _read(recipe)  # before a file is made
    name = settings.study or output.resolve().name
    url = settings.storage or studies.sqlite_url(output.resolve() / studies.DATABASE)
    studies.prepare_folder(output, name, shared=bool(settings.storage), resume=resume)
    alone = nullcontext() if settings.storage else locked(output, "search")
    with alone, log_level(optuna.logging.ERROR, "optuna"), studies.naming_storage(url):
        storage = _open(url, output, settings)
        try:
            study = optuna.create_study(
                storage=storage,
                study_name=name,
                load_if_exists=True,
                pruner=make_pruner(settings, recipe),
                direction="maximize" if settings.maximise else "minimize",
            )
            if settings.storage:
                _read(recipe)
            studies.join_study(study, studies.identity_of(recipe, space, settings))
            output.mkdir(parents=True, exist_ok=True)
            about = {"study": name, "storage": studies.hide_password(url), **study.user_attrs}
            write_text(output / studies.MARKER, json.dumps(about, indent=2) + "\n")
            objective = _Objective(study, recipe, space, output=output, metric=settings.metric)
            _work(study, objective, settings, total=total, done=done)
            return _report(study, recipe, metric=settings.metric, output=output)
        finally:
            storage.engine.dispose()


def _read(recipe: TrainConfig) -> None:
    """Refuses data that cannot be read, in which each trial would fail."""
    read_manifest(recipe.data, seed=recipe.seed, labels=recipe.labels or None)


def _open(url: str, output: Path, settings: TuneConfig) -> RDBStorage:
    """Opens the database; one of the folder's own that could not be made leaves no file."""
    database = output / studies.DATABASE
    known = database.exists()
    try:
        return studies.open_storage(url, heartbeat=settings.heartbeat)
    except MienError:
        if not known and not settings.storage:
            for left in output.glob(f"{studies.DATABASE}*"):
                left.unlink()
        raise


def _check(recipe: TrainConfig, space: Space, settings: TuneConfig) -> int:
    """Checks what can be checked before anything is written; returns the number of trials."""
    check_data(recipe)
    check_space(space, recipe)
    if must_launch(recipe):
        raise ConfigError(
            "devices and num_nodes: a trial trains in one process. Leave them at 1 and start the "
            "command once more for each device, with one --storage."
        )
    total = settings.trials
    if settings.sampler == "grid":
        total = min(total, math.prod(len(found.points(key)) for key, found in space.items()))
    check_parts(recipe)
    for key, dimension in space.items():
        for value in dimension.values if isinstance(dimension, Choice) else ():
            try:
                config = TrainConfig.make({**recipe.to_dict(), key: value})
            except ConfigError:
                continue  # possible only with other values, see check_space
            check_parts(config)
    return total


class TrialReporter(Callback):
    """Reports a metric of the validation faces after each epoch; a hopeless trial ends."""

    def __init__(self, trial: Trial, metric: str, monitor: str = "accuracy") -> None:
        self.trial, self.metric, self.monitor = trial, metric, monitor
        self.values: list[float] = []
        self.monitored: list[dict[str, float]] = []
        self._logits: list[Tensor] = []
        self._class_ids: list[Tensor] = []

    @property
    def value(self) -> float:
        """The metric in the epoch whose weights the run keeps: the best one by the monitor."""
        value = self.values[best_epoch(self.monitored, self.monitor)]
        if math.isnan(value):
            raise DataError("is no number in the end: narrow the space", subject=self.metric)
        return value

    def on_validation_start(self, *_: Any) -> None:
        """Forgets the epoch before."""
        self._logits, self._class_ids = [], []

    def on_validation_batch_end(
        self, _trainer: Any, _module: Any, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Keeps the logits of the network that is kept, for scores by class."""
        self._logits.append(outputs)
        self._class_ids.append(batch[2])

    def on_train_epoch_end(self, trainer: Trainer, _module: Any) -> None:
        """Reports the epoch."""
        known = trainer.callback_metrics
        self.monitored.append({name: float(known[name]) for name in [f"valid_{self.monitor}"]})
        if self.metric == "macro_f1":
            logits, true = torch.cat(self._logits), torch.cat(self._class_ids)
            predicted = logits.argmax(1).cpu().numpy()
            self.values.append(macro_f1(true.cpu().numpy(), predicted, logits.shape[1]))
        else:
            name = "valid_accuracy" if self.metric == "accuracy" else self.metric
            self.values.append(float(known[name]))
        self.trial.report(self.values[-1], step=trainer.current_epoch + 1)
        if self.trial.should_prune():
            raise TrialPruned(f"given up after epoch {trainer.current_epoch + 1}")


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
        trial.set_user_attr("worker", studies.this_worker())
        trial.set_user_attr("folder", folder.name)
        try:
            drawn = {key: dimension.draw(key, trial) for key, dimension in self.space.items()}
            config = TrainConfig.make({**self.recipe.to_dict(), **drawn}, source=folder.name)
            reporter = TrialReporter(trial, self.metric, config.monitor)
            run = train(config, folder, progress=False, callbacks=[reporter])
            # What the run records of all valid faces; only a half of them chose its epoch.
            value = float(run.config.metrics["valid"].get(self.metric, reporter.value))
        except TrialPruned:
            raise
        except KeyboardInterrupt:
            studies.put_back(self.study, self.study.get_trials(deepcopy=False)[trial.number])
            raise
        except Exception as error:
            trial.set_user_attr("error", f"{type(error).__name__}: {error}"[:500])
            raise
        return value


def make_pruner(settings: TuneConfig, recipe: TrainConfig) -> optuna.pruners.BasePruner:
    """Returns the pruner that the settings name."""
    if settings.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1)
    if settings.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(max_resource=recipe.epochs)
    return optuna.pruners.NopPruner()


def make_sampler(settings: TuneConfig, space: Space, drawn: int) -> optuna.samplers.BaseSampler:
    """Returns the sampler of the next trial.

    Its seed moves on with the trials, so that a study gone on with does not draw its first ones
    again; workers on one database draw differently.
    """
    if settings.sampler == "grid":
        points = {key: dimension.points(key) for key, dimension in space.items()}
        return optuna.samplers.GridSampler(points, seed=settings.seed)
    salt = json.dumps(studies.this_worker(), sort_keys=True) if settings.storage else ""
    seed = zlib.crc32(f"{settings.seed} {drawn} {salt}".encode())
    if settings.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, constant_liar=bool(settings.storage))


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
        studies.put_back_lost(study, heartbeat=settings.heartbeat)
        trials = study.get_trials(deepcopy=False)
        finished = studies.count_finished(trials)
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
            if not results.trial_rows(study)[objective.number].state == "lost":
                raise
        if done:
            done(results.trial_rows(study)[objective.number])


def _report(study: Study, recipe: TrainConfig, *, metric: str, output: Path) -> TuneResult:
    """Writes the table, the best recipe and the pictures."""
    write_text(output / "trials.csv", results.trials_csv(results.trial_rows(study)))
    result = results.read_result(study, recipe, metric=metric, output=output)
    write_text(output / "best.yaml", results.best_recipe_text(result))
    save_figure(results.plot_history(result), output / "history.png")
    save_figure(results.plot_values(result), output / "values.png")
    grid = results.plot_grid(result)
    if grid is not None:
        save_figure(grid, output / "grid.png")
    if result.importances:
        save_figure(results.plot_importances(result), output / "importances.png")
    return result
