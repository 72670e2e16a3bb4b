"""``train`` and what it returns: a run, its numbers and its curves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.config import read_values
from mien.data.split import SPLIT
from mien.errors import ModelError, import_extra, needs_extra
from mien.hub import read_model_folder
from mien.training.config import TrainConfig
from mien.training.directory import ARGS, METRICS, best_epoch, plot_curves, read_history
from mien.training.summary import describe_end

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.figure import Figure

    from mien.data import Manifest
    from mien.recognizer import EmotionRecognizer


@dataclass(frozen=True)
class TrainResult:
    """A finished run.

    Args:
        folder: The run directory, which is a model folder.
        metrics: Scores of the best epoch on the valid split: ``accuracy``, ``accuracy_ci``, ``n``,
            ``macro_f1``, ``balanced_accuracy``, ``ece``, ``nll``.
        history: A row per epoch; NaN where a value was not measured.

    >>> result = TrainResult.read("runs/train")
    >>> len(result.history), result.metrics["n"]
    (24, 72)
    >>> result.recognizer(detector="none").config.architecture
    'mienet_test'
    """

    folder: Path
    metrics: dict[str, Any]
    history: list[dict[str, float]]

    @classmethod
    def read(cls, folder: str | Path) -> TrainResult:
        """Reads the run in a folder.

        Raises:
            ModelError: If there is no finished run in it.
        """
        model, path = read_model_folder(folder), Path(folder)
        try:
            history = read_history(path / METRICS)
        except OSError as error:
            raise ModelError(f"holds no run: {METRICS} cannot be read", subject=path) from error
        return cls(path, dict(model.config.metrics.get("valid", {})), history)

    def to_pandas(self) -> pd.DataFrame:
        """Returns the history as a table, a row per epoch.

        Raises:
            MissingExtraError: If pandas is not installed.
        """
        frame: pd.DataFrame = import_extra("pandas", "a pandas table", "pandas").DataFrame
        return frame(self.history)

    def plot(self) -> Figure:
        """Returns a matplotlib figure of loss and accuracy by epoch."""
        return plot_curves(self.history, monitor=self._monitor, title=self.folder.name)

    def summary(self) -> str:
        """Returns what was learned in lines: best epoch, classes, confusions, what to do next.

        Raises:
            ModelError: If the run has no evaluation of its validation faces.
        """
        path = self.folder / "eval" / "valid.json"
        try:
            report = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError("cannot be read", subject=path) from error
        best = best_epoch(self.history, self._monitor)
        return "\n".join(describe_end(report, self.history, best, self.folder))

    @property
    def unreadable(self) -> int:
        """Number of pictures that could not be read and took no part."""
        faces = json.loads((self.folder / SPLIT).read_text(encoding="utf-8")).get("faces", {})
        return int(faces.get("unreadable", 0))

    @property
    def _monitor(self) -> str:
        args = self.folder / ARGS
        return str((read_values(args) if args.is_file() else {}).get("monitor", "accuracy"))

    def recognizer(self, **options: Any) -> EmotionRecognizer:
        """Opens the trained model; ``options`` are those of :class:`mien.EmotionRecognizer`."""
        from mien.recognizer import EmotionRecognizer

        return EmotionRecognizer(self.folder, **options)


def train(
    data: str | Sequence[str] | Manifest,
    *,
    output: str | Path = "runs/train",
    recipe: str | Path | TrainConfig | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    callbacks: Sequence[Any] = (),
    **values: Any,
) -> TrainResult:
    """Trains a model on labelled faces (extra ``train``).

    Args:
        data: A dataset's spec, ``KIND:PATH[,key=value...]``, a list of these, or a manifest.
        output: The run directory; it becomes a model folder.
        recipe: A YAML file, or a config, that ``values`` are laid over; None: the defaults.
        resume: Go on from the last finished epoch of a run that was stopped.
        overwrite: Start anew in a run directory that exists.
        progress: Show a progress bar.
        callbacks: Objects with hooks, see :class:`mien.training.Callback`, in addition to
            those of the recipe.
        **values: Keys of :class:`mien.training.TrainConfig`, for example ``model``, ``epochs``,
            ``lr``. In place of a name (``module:name``) a class or function may be given: an own
            ``loss``, for example.

    Returns:
        The run, with history, scores and the trained recognizer.

    Raises:
        ConfigError: If a value or the directory is unfit.
        DataError: If the dataset is, or the loss stops being a number.
        ModelError: If the starting weights are, or the disk is full.
        MissingExtraError: If the extra is not installed.

    >>> result = mien.train("folder:faces", model="mienet_test", epochs=2, output="runs/new")
    >>> len(result.history), sorted(result.metrics)[:2]
    (2, ['accuracy', 'accuracy_ci'])
    >>> result.plot().savefig("curves.png")
    >>> mien.predict("photo.jpg", model=result.folder).model
    'mienet_test.fer7'
    """
    with needs_extra("mien.train", "train"):
        from mien.training.run import train as run
    config, manifest = make_recipe(data, recipe, values)
    folder = run(
        config, Path(output), resume=resume, overwrite=overwrite, progress=progress,
        callbacks=callbacks, manifest=manifest,
    )  # fmt: skip
    return TrainResult.read(folder.path)


def make_recipe(
    data: str | Sequence[str] | Manifest,
    recipe: str | Path | TrainConfig | None,
    values: dict[str, Any],
) -> tuple[TrainConfig, Manifest | None]:
    """Returns the recipe that Python's arguments say, and the manifest where one was given."""
    from mien.data import Manifest
    from mien.data.sources import specs_of

    manifest = data if isinstance(data, Manifest) else None
    named = {"data": data if manifest is None else specs_of(manifest)}
    if isinstance(recipe, TrainConfig):
        values, recipe = {**recipe.to_dict(), **values}, None
    for key, value in values.items():
        is_own = callable(value)
        named.setdefault(key, f"{value.__module__}:{value.__qualname__}" if is_own else value)
    return TrainConfig.load(recipe, None, **named), manifest
