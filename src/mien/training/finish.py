"""The end of a run: weights, temperature, ONNX, evaluation and card make it a model folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mien.data.sources import data_name, parse_sources
from mien.data.split import write_split
from mien.errors import ModelError
from mien.evaluation import evaluate_logits, record_evaluation
from mien.evaluation.calibration import cross_fit
from mien.exporting.onnx import export_onnx, save_weights
from mien.hub import ONNX, WEIGHTS, ModelConfig, ModelFolder, write_config
from mien.hub.card import write_config_and_card
from mien.models.layers import normalize_tensor
from mien.priors import ClassPrior, label_shares
from mien.quality import fit_quality
from mien.training.config import parse_class_weights
from mien.training.data.faces import calibration_part
from mien.training.network import model_options
from mien.training.optim.losses import class_counts, weights_by_hand

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from mien.models import ModelSpec
    from mien.training.config import TrainConfig
    from mien.training.run import TrainingData


def _learned_prior(config: TrainConfig, data: TrainingData) -> ClassPrior:
    """The shares that the network's answers hold: none where the training weighed classes alike."""
    by_hand = parse_class_weights(config.class_weight)
    alike = config.sampler == "weighted" or config.class_weight in ("inverse", "effective")
    strength = 0.0 if alike or config.loss == "class_balanced" else 1 - config.logit_adjustment
    targets = data.drawn_targets()
    if by_hand:
        # A cross-entropy that weighs classes teaches shares that are weighed alike.
        targets = targets * weights_by_hand(by_hand, data.train.schema, class_counts(targets))
    return ClassPrior(label_shares(targets.numpy()), min(max(strength, 0.0), 1.0))


def _sources(config: TrainConfig, data: TrainingData) -> dict[str, dict[str, Any]]:
    """What the card tells of each of several datasets, and of one whose terms are given."""
    listed, of = {}, data.train.sources
    for source in parse_sources(config.data):
        inside = np.ones(len(data.train), np.bool_) if of is None else of == source.name
        share = inside.mean() if data.drawn is None else data.drawn.numpy()[inside].sum()
        listed[source.name] = {
            "kind": source.kind, "license": source.license, "train": int(inside.sum()),
            "share": round(float(share), 4),
        }  # fmt: skip
    is_told = data.names or any(each["license"] != "unknown" for each in listed.values())
    return listed if is_told else {}


def finish_run(
    network: nn.Module, config: TrainConfig, spec: ModelSpec, data: TrainingData, output: Path
) -> ModelFolder:
    """Writes what makes a run directory a model folder.

    Temperature and prediction sets are fitted on the validation faces that did not choose the
    epoch, see :func:`mien.training.data.faces.deal_valid`; all validation faces are scored.
    """
    network = network.cpu().float().eval()
    name = data_name(config.data)
    with torch.inference_mode():
        parts = [
            network(normalize_tensor(batch.float(), spec.preprocessing)).numpy()
            for batch in torch.split(data.valid_faces.faces, 256)
        ]
    logits = np.concatenate(parts)
    calibrates = calibration_part(data.selects)
    held_out = data.valid.select(calibrates)
    temperature, conformal = cross_fit(
        logits[calibrates], held_out.class_ids, held_out.groups, seed=config.seed
    )
    model = ModelConfig(
        architecture=spec.name,
        tag=config.tag or data.train.schema.name,
        schema=data.train.schema,
        preprocessing=spec.preprocessing,
        num_features=int(network.num_features),  # type: ignore[arg-type]
        model_args=model_options(config),
        license=config.license,
        data=name,
        prior=_learned_prior(config, data),
        temperature=temperature,
        conformal=conformal,
        sources=_sources(config, data),
        quality=fit_quality(data.valid_faces.faces.permute(0, 2, 3, 1).numpy()),
    )
    evaluation = evaluate_logits(logits, model, data.valid, split="valid")
    faces = {"train": len(data.train), "valid": len(data.valid)}
    faces |= {"select": int(data.selects.sum()), "calibrate": len(held_out)}
    faces |= {"unreadable": data.unreadable} if data.unreadable else {}
    keys = [held_out.images.key(index) for index in range(len(held_out))]
    write_split(output, data.valid, seed=config.seed, faces=faces, calibrate=keys)
    save_weights(network, output / WEIGHTS)
    folder = record_evaluation(write_config(output, model), evaluation, name)
    try:
        export_onnx(network, output / ONNX, model)
    except ModelError as error:
        hint = f"The weights are in {output}, which mien predict --backend torch reads: try again "
        raise error.about(error.subject, hint=f"{hint}with mien export {output}.") from error
    from mien.training.pictures import draw_pictures  # not needed before the end

    draw_pictures(output, config, model, data, evaluation)
    return write_config_and_card(output, folder.config)
