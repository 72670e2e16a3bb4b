"""``train``: from a recipe to a run directory that is a model folder."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from mien.backends.torch import read_tensors
from mien.config import import_plugins, load_object
from mien.data import Manifest, read_manifest
from mien.data.faces import load_faces
from mien.data.image_stores import find_shards
from mien.data.inspection.run import Bars, silent
from mien.errors import ConfigError, DataError
from mien.labels import as_schema
from mien.locks import locked
from mien.training.callbacks import load_callbacks, naming_full_disk
from mien.training.config import TrainConfig, check_data
from mien.training.data.faces import FaceTensors, count_steps, deal_valid, make_loader
from mien.training.data.stream import StreamedFaces, StreamLoader
from mien.training.directory import CHECKPOINTS, METRICS, draw_curves, prepare_directory
from mien.training.distillation import average_answers, load_teachers
from mien.training.distributed.launch import launch, must_launch, node_rank
from mien.training.distributed.processes import (
    check_dist_info,
    fail_together,
    init_distributed,
    naming_lost_process,
    on_rank_zero,
    process_settings,
    read_dist_info,
)
from mien.training.finish import finish_run
from mien.training.module import ExpressionModule
from mien.training.network import build_network, find_weights, model_options, trained_spec
from mien.training.optim.losses import ExpressionLoss, class_counts, face_weights
from mien.training.optim.optimizers import make_optimizer, rate_factor
from mien.training.trainer import autocast, find_logger, make_trainer, training_device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from lightning import Trainer
    from lightning.pytorch.callbacks import Callback

    from mien.arrays import Bools
    from mien.hub import ModelFolder
    from mien.models import ModelSpec
    from mien.preprocess import Preprocessing
    from mien.training.distributed.processes import DistInfo

__all__ = ["METRICS", "TrainingData", "check_parts", "load_data", "train"]


@dataclass(frozen=True)
class TrainingData:
    """What a run learns from and is scored on.

    Args:
        train: Labels of the training faces.
        valid: Labels of the N validation faces.
        train_faces: Their pictures, or where they lie.
        valid_faces: The pictures of the validation faces.
        selects: bool (N,), the validation faces that choose the epoch; see
            :func:`mien.training.data.faces.deal_valid`.
    """

    train: Manifest
    valid: Manifest
    train_faces: FaceTensors | StreamedFaces
    valid_faces: FaceTensors
    selects: Bools


def check_parts(config: TrainConfig) -> None:
    """Looks up everything that a recipe names, before anything is read or written.

    Raises:
        ConfigError: If a loss, optimiser, callback or option of the network is not there.
        ModelError: If the starting weights or a teacher cannot be had.
        MissingExtraError: If the logger is not installed.
    """
    as_schema(config.labels or None)
    ExpressionLoss(config)
    make_optimizer([{"params": [torch.nn.Parameter(torch.zeros(2, 2))]}], config)
    load_callbacks(config.callbacks)
    model_options(config)
    if config.logger != "none":
        find_logger(config.logger)
    if config.augmentation:
        load_object(config.augmentation, "augmentation")
    rate_factor(config, 1)
    if config.weights:
        read_tensors(find_weights(config.weights, config.model))
    load_teachers(config, trained_spec(config).preprocessing)


def load_data(
    config: TrainConfig,
    preprocessing: Preprocessing,
    progress: Callable[[int], None] | None = None,
    manifest: Manifest | None = None,
) -> TrainingData:
    """Reads the dataset, unless it is given, and decodes its faces into memory.

    Training faces that lie in shards stay there and are read as they are needed.

    Raises:
        ConfigError: If the recipe wants of shards what they cannot give.
        DataError: If a split is missing, or the training faces show fewer than two classes.
    """
    if manifest is None:
        manifest = read_manifest(config.data, seed=config.seed, labels=config.labels or None)
    train, valid = manifest.split("train"), manifest.split("valid").with_labels()
    if config.limit:
        train = train.select(list(range(min(config.limit, len(train)))))
    if (train.targets.sum(axis=0) > 0).sum() < 2:
        raise DataError("the training faces show fewer than two classes", subject=f"{config.data}:")

    def tensors(part: Manifest) -> FaceTensors:
        faces = load_faces(part, preprocessing, workers=os.cpu_count() or 1, progress=progress)
        return FaceTensors(faces, part.targets, part.class_ids)

    selects = deal_valid(valid, config.seed)
    if find_shards(train.images) is None:
        return TrainingData(train, valid, tensors(train), tensors(valid), selects)
    if config.sampler == "weighted":
        raise ConfigError(
            "sampler: weighted draws from all faces at once, and shards are read one after "
            "another: give class_weight, loss: class_balanced or logit_adjustment."
        )
    if config.teachers and config.distill_views:
        raise ConfigError(
            "distill_views asks teachers about all faces before the first epoch, and shards are "
            "read as they are needed: give distill_views: 0."
        )
    streamed = StreamedFaces(train, preprocessing)
    return TrainingData(train, valid, streamed, tensors(valid), selects)


def train(
    config: TrainConfig,
    output: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    bar: Bars | None = None,
    callbacks: Sequence[Callback] = (),
    manifest: Manifest | None = None,
) -> ModelFolder:
    """Trains a network and leaves a model folder.

    With ``devices`` or ``num_nodes`` above 1 the work is done in new processes; those that
    ``torchrun`` started all call this function, and the first of them writes the files. A script
    that starts processes guards its own start with ``if __name__ == "__main__"``.

    What is not said here is as of :func:`mien.train`.

    Args:
        config: The recipe.
        output: The run directory.
        resume: Go on from the last finished epoch of a run that was stopped.
        overwrite: Start anew in a run directory that exists.
        progress: Show a bar (or a line an epoch where stderr is no terminal).
        bar: Makes a progress bar for what comes before the epochs.
        callbacks: Lightning callbacks in addition to those of the recipe.
        manifest: The recipe's dataset with splits of its own; None reads it.

    Returns:
        The folder, with the weights of the best epoch, ONNX, card and metrics.

    Raises:
        ModelError: If the starting weights are unfit, the disk is full, or a process is lost.
        KeyboardInterrupt: If it was stopped by hand; ``resume`` goes on.
        MienError: See :func:`mien.train`.
    """
    import_plugins(config.imports)
    spec = trained_spec(config)
    check_data(config)
    check_parts(config)
    if must_launch(config):
        if callbacks or manifest is not None:
            raise ConfigError(
                "callbacks and manifest cannot follow into other processes: name callbacks in the "
                "recipe and give the dataset by data, or start with torchrun."
            )
        check_dist_info(config, read_dist_info())
        if node_rank(config) == 0:
            with locked(output, "training"):  # then the first of the processes takes it
                prepare_directory(output, config, resume=resume, overwrite=overwrite)
        return launch(train, config, output, resume=True, progress=progress)
    with (
        ExitStack() as stack,
        init_distributed(config) as dist,
        naming_lost_process(output, dist),
        process_settings(config, dist),
    ):

        def prepare() -> Path | None:
            stack.enter_context(locked(output, "training"))
            return prepare_directory(output, config, resume=resume, overwrite=overwrite)

        checkpoint = on_rank_zero(dist, prepare)
        bar = bar if bar and dist.is_rank_zero else silent
        with fail_together(dist), bar("reading faces", None) as advance:
            data = load_data(config, spec.preprocessing, advance, manifest)
            if dist.world_size > 1 and len(data.train_faces) < 2 * dist.world_size:
                raise DataError(
                    f"{len(data.train_faces)} training faces cannot be shared by "
                    f"{dist.world_size} processes: give fewer devices",
                    subject=f"{config.data}:",
                )
        module = _make_module(config, spec, data, bar)
        with naming_full_disk(output):
            trainer = make_trainer(
                config, output, progress=progress, callbacks=callbacks, dist=dist
            )
            _fit(trainer, module, data, checkpoint, dist)
            return on_rank_zero(dist, lambda: _finish(module, spec, data, output))


def _make_module(
    config: TrainConfig, spec: ModelSpec, data: TrainingData, bar: Bars = silent
) -> ExpressionModule:
    torch.manual_seed(config.seed)
    network = build_network(config, spec, len(data.train.schema))
    faces = data.train_faces
    counts = class_counts(faces.targets)
    teachers = load_teachers(config, spec.preprocessing, data.train.schema)
    if teachers is not None and config.distill_views and isinstance(faces, FaceTensors):
        teachers.to(training_device(config))
        with bar("asking teachers", len(faces)) as advance, autocast(config):
            answers = average_answers(teachers, faces.faces, config, spec.preprocessing, advance)
        faces.targets, teachers = faces.targets.lerp(answers, config.distill_weight), None
    return ExpressionModule(
        network.to(memory_format=torch.channels_last),
        config,
        spec.preprocessing,
        steps_per_epoch=count_steps(len(faces), config.batch_size),
        counts=counts,
        faces_per_epoch=len(faces),
        teachers=teachers,
    )


def _fit(
    trainer: Trainer,
    module: ExpressionModule,
    data: TrainingData,
    checkpoint: Path | None,
    dist: DistInfo,
) -> None:
    config, faces = module.config, data.train_faces
    loader: Iterable[Any]
    if isinstance(faces, StreamedFaces):
        loader = StreamLoader(faces, config, dist)
    else:
        weights = face_weights(faces.targets) if config.sampler == "weighted" else None
        loader = make_loader(faces, config.batch_size, seed=config.seed, weights=weights, dist=dist)
    valid_loader = make_loader(data.valid_faces.select(data.selects), 256, shuffle=False, dist=dist)
    try:
        trainer.fit(module, loader, valid_loader, ckpt_path=checkpoint, weights_only=True)
    except SystemExit:
        # Lightning turns Ctrl-C into an exit of its own; callers expect the interrupt.
        if trainer.interrupted:
            raise KeyboardInterrupt from None
        raise


def _finish(
    module: ExpressionModule, spec: ModelSpec, data: TrainingData, output: Path
) -> ModelFolder:
    best = torch.load(output / CHECKPOINTS / "best.ckpt", map_location="cpu", weights_only=True)
    module.load_state_dict(best["state_dict"])
    draw_curves(output / METRICS, output / "curves.png")
    return finish_run(module.deployed, module.config, spec, data, output)
