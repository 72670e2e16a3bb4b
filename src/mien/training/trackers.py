"""What a tracker receives when a run is finished: pictures, final scores, the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mien.hub import CARD, CONFIG, ONNX, WEIGHTS
from mien.training.pictures import PICTURES

if TYPE_CHECKING:
    from pathlib import Path

    from mien.hub import ModelFolder

#: The files that are the model, in the order in which a tracker gets them.
_MODEL = (CONFIG, WEIGHTS, ONNX, CARD)
_SCORES = ("accuracy", "balanced_accuracy", "macro_f1", "ece", "nll")


def report_run(logger: Any, folder: ModelFolder) -> None:
    """Hands the end of a run to its tracker.

    Pictures come as ``curves``, ``confusion``, ``valid_faces`` and ``augmented``, scores of all
    valid faces as ``final_NAME``. Weights & Biases and MLflow keep the model as an artefact named
    ``model``; TensorBoard has no artefacts, and writes into the run directory anyway. A logger of
    the user's own gets the scores.
    """
    path = folder.path
    valid = folder.config.metrics.get("valid", {})
    scores = {f"final_{name}": float(valid[name]) for name in _SCORES if name in valid}
    pictures = [path / name for name in PICTURES if (path / name).is_file()]
    model = [path / name for name in _MODEL if (path / name).is_file()]
    known = [_REPORTS[kind.__name__] for kind in type(logger).mro() if kind.__name__ in _REPORTS]
    if known:
        known[0](logger, scores, pictures, model)
    else:
        logger.log_metrics(scores)


def _to_tensorboard(
    logger: Any, scores: dict[str, float], pictures: list[Path], _: list[Path]
) -> None:
    writer = logger.experiment
    for path in pictures:
        with Image.open(path) as picture:
            writer.add_image(path.stem, np.asarray(picture.convert("RGB")), dataformats="HWC")
    for name, value in scores.items():
        writer.add_scalar(name, value)
    writer.close()


def _to_wandb(
    logger: Any, scores: dict[str, float], pictures: list[Path], model: list[Path]
) -> None:
    import wandb

    run = logger.experiment
    run.log({path.stem: wandb.Image(str(path)) for path in pictures})
    run.summary.update(scores)
    artefact = wandb.Artifact("model", type="model")
    for path in model:
        artefact.add_file(str(path))
    run.log_artifact(artefact)
    run.finish()


def _to_mlflow(
    logger: Any, scores: dict[str, float], pictures: list[Path], model: list[Path]
) -> None:
    client, run = logger.experiment, logger.run_id
    for name, value in scores.items():
        client.log_metric(run, name, value)
    for path in pictures:
        client.log_artifact(run, str(path), "pictures")
    for path in model:
        client.log_artifact(run, str(path), "model")


#: By the names of Lightning's classes, which need not be imported to know them.
_REPORTS = {
    "TensorBoardLogger": _to_tensorboard,
    "WandbLogger": _to_wandb,
    "MLFlowLogger": _to_mlflow,
}
