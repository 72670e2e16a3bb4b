"""Tuning: many trainings over a space of recipes, on one machine or several (extra ``train``)."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import needs_extra
from mien.training.result import make_recipe
from mien.training.tuning.config import TuneConfig, make_space, read_space

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mien.training.config import TrainConfig
    from mien.training.tuning.result import TrialRow, TuneResult

__all__ = ["TuneConfig", "tune"]


def tune(
    data: str | Sequence[str],
    space: str | Path | Mapping[str, Any],
    *,
    trials: int | None = None,
    output: str | Path = "runs/tune",
    recipe: str | Path | TrainConfig | None = None,
    settings: TuneConfig | None = None,
    resume: bool = False,
    done: Callable[[TrialRow], None] | None = None,
    **values: Any,
) -> TuneResult:
    """Searches for the best recipe; every trial is a run directory of its own.

    Args:
        data: A dataset's spec, ``KIND:PATH[,key=value...]``, or a list of these.
        space: The keys of the recipe to search and their values, or a YAML file of them: a list of
            choices, or ``{"low": 0.01, "high": 0.3, "log": True}``.
        trials: Finished trials in all; None: as the settings say.
        output: Folder of the trials, ``trials.csv``, ``best.yaml`` and the diagrams.
        recipe: What all trials share: a YAML file or a config; None: the defaults.
        settings: How to search; None: the defaults.
        resume: Go on with the study in ``output``.
        done: Called with each trial that was finished.
        **values: Keys of the recipe that win over it.

    Returns:
        The trials, the best recipe, and what mattered.

    Raises:
        ConfigError: If recipe, space or settings are impossible, or the folder is in use.
        DataError: If no trial was finished.
        MissingExtraError: If the extra is not installed.

    >>> space = {"lr": [0.02, 0.05], "flip": {"low": 0.0, "high": 0.5}}
    >>> found = mien.tune("folder:faces", space, trials=2, model="mienet_test", epochs=1)
    >>> len(found.rows), sorted(found.best.values)
    (2, ['flip', 'lr'])
    """
    with needs_extra("mien.tune", "train"), warnings.catch_warnings():
        # In a notebook without ipywidgets, of a progress bar that only Optuna imports.
        warnings.filterwarnings("ignore", message="IProgress not found")
        from mien.training.tuning.run import tune as search
    config, _ = make_recipe(data, recipe, values)
    settings = settings or TuneConfig()
    return search(
        config,
        read_space(Path(space)) if isinstance(space, (str, Path)) else make_space(space),
        output=Path(output),
        settings=settings if trials is None else replace(settings, trials=trials),
        resume=resume,
        done=done,
    )
