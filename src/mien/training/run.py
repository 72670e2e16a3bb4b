"""``train``: from a recipe to a run directory that is a model folder."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mien.config import import_plugins, load_object
from mien.data import Manifest, read_manifest
from mien.data.faces import load_readable
from mien.data.image_stores import find_shards, holds_shards
from mien.data.inspection.run import Bars, silent
from mien.data.sources import draw_shares, parse_sources, show_specs
from mien.errors import ConfigError, DataError
from mien.hub.tensors import read_tensors
from mien.labels import as_schema
from mien.locks import locked
from mien.training.batch_size import choose_batch_size
from mien.training.callbacks import load_callbacks, naming_full_disk, naming_full_memory
from mien.training.config import (
    MONITORS,
    TrainConfig,
    check_data,
    check_monitor,
    list_monitors,
)
from mien.training.console import describe_start, say
from mien.training.data.faces import FaceTensors, count_steps, deal_valid, limit_faces, make_loader
from mien.training.data.stream import StreamedFaces, StreamLoader
from mien.training.device import autocast, training_device
from mien.training.directory import (
    CHECKPOINTS,
    METRICS,
    check_directory,
    prepare_directory,
    settle_batch_size,
)
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
from mien.training.trainer import find_logger, make_trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from torch import Tensor

    from mien.arrays import Bools
    from mien.hub import ModelFolder
    from mien.models import ModelSpec
    from mien.preprocess import Preprocessing
    from mien.training.distributed.processes import DistInfo
    from mien.training.loop import Trainer

#: Training faces that are scored without augmentation after each epoch, at most.
_SAMPLE = 1024

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
        drawn: float64, how often each training face is drawn by the weights of the datasets,
            summing to 1; None: each once per epoch.
        names: The names of the datasets, where there are several.
        left_out: Pictures of both splits that could not be read when they were loaded.
    """

    train: Manifest
    valid: Manifest
    train_faces: FaceTensors | StreamedFaces
    valid_faces: FaceTensors
    selects: Bools
    drawn: Tensor | None = None
    names: tuple[str, ...] = ()
    left_out: int = 0

    @property
    def unreadable(self) -> int:
        """Number of pictures that could not be read and took no part."""
        faces = self.train_faces
        return self.left_out + (len(faces.damaged) if isinstance(faces, StreamedFaces) else 0)

    def drawn_targets(self) -> Tensor:
        """Returns the training targets (N, K), each times how often its face is drawn."""
        targets = torch.from_numpy(self.train.targets)
        return targets if self.drawn is None else targets * (self.drawn * len(targets))[:, None]


def check_parts(config: TrainConfig) -> None:
    """Looks up everything that a recipe names, before anything is read or written.

    Raises:
        ConfigError: If a loss, optimiser, callback or option of the network is not there.
        ModelError: If the starting weights or a teacher cannot be had.
        MissingExtraError: If the logger is not installed.
    """
    as_schema(config.labels or None)
    if not isinstance(config.data, str) or config.monitor not in MONITORS[:3]:
        sources = parse_sources(config.data)
        check_monitor(config.monitor, list_monitors([source.name for source in sources]))
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
    manifest = manifest or _read(config)
    train, valid = manifest.split("train"), manifest.split("valid").with_labels()
    if config.limit:
        train = limit_faces(train, config.limit, config.seed)
    if (train.targets.sum(axis=0) > 0).sum() < 2:
        raise DataError(
            "the training faces show fewer than two classes", subject=f"{show_specs(config.data)}:"
        )

    if manifest.sources is not None and holds_shards(train.images):
        raise ConfigError(
            "shards are read one after another, and several datasets are drawn from memory: train "
            "on the shards alone, or name the data that they were written from."
        )
    names = () if manifest.sources is None else tuple(dict.fromkeys(manifest.sources.tolist()))
    _drawn(config, train)  # refuses weights before the faces are read
    selects = deal_valid(valid, config.seed)
    _check_monitored(config, valid.select(selects))

    def tensors(part: Manifest) -> tuple[Manifest, FaceTensors]:
        part, faces = load_readable(
            part, preprocessing, workers=os.cpu_count() or 1, progress=progress
        )
        numbers = None
        if part.sources is not None:
            numbers = np.array([names.index(name) for name in part.sources.tolist()], np.int64)
        return part, FaceTensors(faces, part.targets, part.class_ids, numbers)

    if find_shards(train.images) is None:
        (kept, faces), (read, valid_faces) = tensors(train), tensors(valid)
        drawn = _drawn(config, kept)
        selects = selects if read is valid else deal_valid(read, config.seed)
        lost = len(train) + len(valid) - len(kept) - len(read)
        return TrainingData(kept, read, faces, valid_faces, selects, drawn, names, lost)
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
    read, valid_faces = tensors(valid)
    selects = selects if read is valid else deal_valid(read, config.seed)
    lost = len(valid) - len(read)
    return TrainingData(train, read, streamed, valid_faces, selects, left_out=lost)


def _read(config: TrainConfig) -> Manifest:
    return read_manifest(config.data, seed=config.seed, labels=config.labels or None)


def _drawn(config: TrainConfig, train: Manifest) -> Tensor | None:
    """Returns how often each training face is drawn by the weights of the datasets."""
    if train.sources is None:
        return None
    named = train.sources.tolist()
    counts = Counter(named)
    shares = draw_shares(parse_sources(config.data), counts)
    if shares is None:
        return None
    return torch.tensor([shares[name] / counts[name] for name in named], dtype=torch.float64)


def _check_monitored(config: TrainConfig, valid: Manifest) -> None:
    name = config.monitor.partition("/")[2]
    if name and (valid.sources is None or name not in valid.sources):
        reason = f"has no labelled valid face that chooses the epoch: monitor={config.monitor}"
        raise DataError(reason, subject=name)


def train(
    config: TrainConfig,
    output: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    bar: Bars | None = None,
    callbacks: Sequence[Any] = (),
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
        callbacks: Callbacks in addition to those of the recipe.
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
        parse_sources(config.data)  # a path that is not there leaves no folder
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
        how: Any = {"resume": resume, "overwrite": overwrite}

        def prepare() -> Path | None:
            stack.enter_context(locked(output, "training"))
            return prepare_directory(output, config, **how)

        on_rank_zero(dist, lambda: check_directory(output, config, **how))
        with fail_together(dist):
            manifest = manifest or _read(config)
        checkpoint = on_rank_zero(dist, prepare)
        bar = bar if bar and dist.is_rank_zero else silent
        with fail_together(dist), bar("reading faces", None) as advance:
            data = load_data(config, spec.preprocessing, advance, manifest)
            if dist.world_size > 1 and len(data.train_faces) < 2 * dist.world_size:
                raise DataError(
                    f"{len(data.train_faces)} training faces cannot be shared by "
                    f"{dist.world_size} processes: give fewer devices",
                    subject=f"{show_specs(config.data)}:",
                )
        is_auto = not config.batch_size
        config = settle_batch_size(output, config, lambda: suited_batch_size(config, spec, data))
        module = make_module(config, spec, data, bar)
        if progress and dist.is_rank_zero:
            for line in describe_start(config, spec, data, module, output, is_auto=is_auto):
                say(line)
        with naming_full_disk(output), naming_full_memory(config):
            trainer = make_trainer(
                config, output, progress=progress, callbacks=callbacks, dist=dist
            )
            _fit(trainer, module, data, checkpoint, dist)
            folder = on_rank_zero(dist, lambda: _finish(module, spec, data, output))
            if trainer.logger is not None:
                from mien.training.trackers import report_run

                report_run(trainer.logger, folder)
            return folder


def suited_batch_size(config: TrainConfig, spec: ModelSpec, data: TrainingData) -> int:
    """Returns the batch size that suits device and faces, see :func:`choose_batch_size`."""
    count, sample = len(data.train_faces), data.valid_faces
    return choose_batch_size(config, count, sample, lambda tried: make_module(tried, spec, data))


def make_module(
    config: TrainConfig, spec: ModelSpec, data: TrainingData, bar: Bars = silent
) -> ExpressionModule:
    """Builds what is trained: the network with its starting weights, loss and teachers."""
    torch.manual_seed(config.seed)
    network = build_network(config, spec, len(data.train.schema))
    faces, sample = data.train_faces, None
    if isinstance(faces, FaceTensors):
        sample = faces.sample(min(int(data.selects.sum()), _SAMPLE), seed=config.seed)
    counts = _counts(config, data)
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
        names=data.names,
        schema=data.train.schema,
        teachers=teachers,
        sample=sample,
    )


def _counts(config: TrainConfig, data: TrainingData) -> Tensor:
    """Returns the faces of each class as they are drawn, (K,), or (S, K) of each dataset."""
    targets, numbers = data.train_faces.targets, data.train_faces.sources
    by_source = config.logit_adjustment and config.logit_adjustment_by == "source"
    if numbers is None or not by_source:
        return class_counts(data.drawn_targets())
    return torch.stack([class_counts(targets[numbers == at]) for at in range(len(data.names))])


def _weights(config: TrainConfig, data: TrainingData) -> Tensor | None:
    """Returns how often each face is drawn, (N,); None: each once per epoch."""
    faces, drawn = data.train_faces, data.drawn
    if config.sampler != "weighted":
        return drawn
    if drawn is None:
        return face_weights(faces.targets)
    weights = drawn.clone()
    for at in range(len(data.names)):
        inside = faces.sources == at
        weights[inside] = drawn[inside].sum() * face_weights(faces.targets[inside])
    return weights


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
        order: Any = {"seed": config.seed, "weights": _weights(config, data), "dist": dist}
        loader = make_loader(faces, config.batch_size, **order)
    valid_loader = make_loader(data.valid_faces.select(data.selects), 256, shuffle=False, dist=dist)
    trainer.fit(module, loader, valid_loader, checkpoint)


def _finish(
    module: ExpressionModule, spec: ModelSpec, data: TrainingData, output: Path
) -> ModelFolder:
    best = torch.load(output / CHECKPOINTS / "best.ckpt", map_location="cpu", weights_only=True)
    module.load_state_dict(best["state_dict"])
    return finish_run(module.deployed, module.config, spec, data, output)
