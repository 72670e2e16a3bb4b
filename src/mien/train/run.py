"""``train``: from a recipe to a run directory that is a model folder."""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from mien.data import read_manifest
from mien.data.faces import load_faces
from mien.errors import ConfigError, DataError
from mien.labels import get_schema
from mien.train.callbacks import naming_full_disk
from mien.train.config import TrainConfig, make_config, read_yaml
from mien.train.curves import draw_curves
from mien.train.faces import FaceTensors, make_loader
from mien.train.finish import finish_run
from mien.train.losses import ExpressionLoss, class_mass, face_weights
from mien.train.module import ExpressionModule
from mien.train.network import build_network, model_options, trained_spec
from mien.train.optimizers import make_optimizer
from mien.train.plugins import load_callbacks
from mien.train.tracking import check_tracker
from mien.train.trainer import make_trainer
from mien.train.weights import find_weights, read_tensors

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mien.data import Manifest
    from mien.hub import ModelFolder
    from mien.preprocess import Preprocessing

ARGS = "args.yaml"
METRICS = "metrics.csv"
CHECKPOINTS = "checkpoints"
#: What may differ when a run is resumed.
_FREE = frozenset({"threads", "device", "tag", "license", "tracker"})


@dataclass(frozen=True)
class TrainingData:
    """What a run learns from and is scored on."""

    train: Manifest
    valid: Manifest
    train_faces: FaceTensors
    valid_faces: FaceTensors


def check_parts(config: TrainConfig) -> None:
    """Looks up everything that a recipe names, before anything is read or written.

    Raises:
        ConfigError: If a loss, optimiser, callback or option of the network is not there.
        ModelError: If the starting weights cannot be had.
        MissingExtraError: If the tracker is not installed.
    """
    if config.schema:
        get_schema(config.schema)
    ExpressionLoss(config)
    make_optimizer([{"params": [torch.nn.Parameter(torch.zeros(2, 2))]}], config)
    load_callbacks(config.callbacks)
    model_options(config)
    check_tracker(config.tracker)
    if config.weights:
        read_tensors(find_weights(config.weights, config.model))


def prepare_directory(
    output: Path, config: TrainConfig, *, resume: bool, overwrite: bool
) -> Path | None:
    """Makes the run directory, or checks the one to resume.

    Returns:
        The checkpoint to go on from, or None.

    Raises:
        ConfigError: If the directory is in use, or was started with other values.
    """
    import yaml

    args, last = output / ARGS, output / CHECKPOINTS / "last.ckpt"
    if resume and args.is_file():
        started = make_config(read_yaml(args), source=str(args)).to_dict()
        differing = [
            f"{key} ({started[key]} then, {value} now)"
            for key, value in config.to_dict().items()
            if started[key] != value and key not in _FREE
        ]
        if differing:
            raise ConfigError(
                f"{output} was started with other values: {', '.join(differing)}. "
                "Resume with the same ones, or give another --output."
            )
        return last if last.is_file() else None
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        if not overwrite:
            raise ConfigError(
                f"{output} exists already. Type --resume to go on with it, --overwrite to start "
                "it anew, or give another --output."
            )
        if not args.is_file():
            raise ConfigError(f"{output} is no run directory (no {ARGS}): it is not overwritten.")
        for name in ("last.ckpt", "best.ckpt"):
            (output / CHECKPOINTS / name).unlink(missing_ok=True)
    output.mkdir(parents=True, exist_ok=True)
    from mien.atomic import write_text

    write_text(args, yaml.safe_dump(config.to_dict(), sort_keys=False))
    return None


def load_data(
    config: TrainConfig,
    preprocessing: Preprocessing,
    progress: Callable[[int], None] | None = None,
) -> TrainingData:
    """Reads the dataset and decodes its faces into memory.

    Raises:
        DataError: If a split is missing, or the training faces show fewer than two classes.
    """
    schema = get_schema(config.schema) if config.schema else None
    manifest = read_manifest(config.data, seed=config.seed, schema=schema)
    train, valid = manifest.split("train"), manifest.split("valid").with_labels()
    if config.limit:
        train = train.select(list(range(min(config.limit, len(train)))))
    if (train.targets.sum(axis=0) > 0).sum() < 2:
        raise DataError(f"{config.data}: the training faces show fewer than two classes.")

    def tensors(part: Manifest) -> FaceTensors:
        faces = load_faces(part, preprocessing, workers=os.cpu_count() or 1, progress=progress)
        return FaceTensors(faces, part.targets, part.class_ids)

    return TrainingData(train, valid, tensors(train), tensors(valid))


def train(
    config: TrainConfig,
    output: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    reading: Callable[[], AbstractContextManager[Callable[[int], None]]] | None = None,
) -> ModelFolder:
    """Trains a network and leaves a model folder.

    Args:
        config: The recipe.
        output: The run directory.
        resume: Go on from the last finished epoch of a run that was stopped.
        overwrite: Start anew in a run directory that exists.
        progress: Show a bar (or a line an epoch where stderr is no terminal).
        reading: Makes a context around the decoding of the faces whose value is called with the
            number just decoded: a progress bar.

    Returns:
        The folder, with the weights of the best epoch, ONNX, card and metrics.

    Raises:
        ConfigError: If the recipe or the directory is unfit.
        DataError: If the dataset is, or the loss stops being a number.
        ModelError: If the starting weights are, or the disk is full.
        MissingExtraError: If the recipe's tracker is not installed.
        KeyboardInterrupt: If it was stopped by hand; ``resume`` goes on.
    """
    spec = trained_spec(config)
    if not config.data:
        raise ConfigError("no dataset: give --data KIND:PATH, for example --data folder:faces.")
    check_parts(config)
    checkpoint = prepare_directory(output, config, resume=resume, overwrite=overwrite)
    _quiet_lightning()
    if config.threads:
        torch.set_num_threads(config.threads)
    with reading() if reading else nullcontext() as advance:
        data = load_data(config, spec.preprocessing, advance)
    torch.manual_seed(config.seed)
    network = build_network(config, spec, len(data.train.schema))
    network = network.to(memory_format=torch.channels_last)
    targets = data.train_faces.targets
    weights = face_weights(targets) if config.sampler == "weighted" else None
    loader = make_loader(data.train_faces, config.batch_size, seed=config.seed, weights=weights)
    module = ExpressionModule(
        network, config, spec.preprocessing, steps_per_epoch=len(loader), mass=class_mass(targets)
    )
    trainer = make_trainer(config, output, progress=progress)
    valid_loader = make_loader(data.valid_faces, 256, shuffle=False)
    with naming_full_disk(output):
        try:
            trainer.fit(module, loader, valid_loader, ckpt_path=checkpoint, weights_only=True)
        except SystemExit:
            # Lightning turns Ctrl-C into an exit of its own; callers expect the interrupt.
            if trainer.interrupted:
                raise KeyboardInterrupt from None
            raise
        best = torch.load(output / CHECKPOINTS / "best.ckpt", map_location="cpu", weights_only=True)
        module.load_state_dict(best["state_dict"])
        draw_curves(output / METRICS, output / "curves.png")
        return finish_run(module.deployed, config, spec, data, output)


def _quiet_lightning() -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning\..*")
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*")
