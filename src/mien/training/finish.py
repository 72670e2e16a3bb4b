"""The end of a run: weights, temperature, ONNX, evaluation and card make it a model folder."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from mien.data.registry import parse_spec
from mien.data.split import write_split
from mien.evaluation import evaluate_logits, record_evaluation
from mien.evaluation.calibration import cross_fit
from mien.exporting.onnx import export_onnx, save_weights
from mien.hub import ONNX, WEIGHTS, ModelConfig, ModelFolder, write_config
from mien.priors import ClassPrior, label_shares
from mien.quality import fit_quality
from mien.training.data.augment import normalize_tensor
from mien.training.network import model_options
from mien.training.valid_parts import calibration_part

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from mien.models import ModelSpec
    from mien.preprocess import Preprocessing
    from mien.training.config import TrainConfig
    from mien.training.data.faces import FaceTensors
    from mien.training.run import TrainingData


def compute_logits(
    network: nn.Module, faces: FaceTensors, preprocessing: Preprocessing
) -> NDArray[np.float32]:
    """Runs a network over faces in full precision: float32 (N, K)."""
    with torch.inference_mode():
        parts = [
            network(normalize_tensor(batch.float(), preprocessing)).numpy()
            for batch in torch.split(faces.faces, 256)
        ]
    return np.concatenate(parts)


def _learned_prior(config: TrainConfig, data: TrainingData) -> ClassPrior:
    """The shares that the network's answers hold: none where the training weighed classes alike."""
    alike = config.sampler == "weighted" or config.class_weight != "none"
    strength = 0.0 if alike or config.loss == "class_balanced" else 1 - config.logit_adjustment
    return ClassPrior(label_shares(data.train.targets), min(max(strength, 0.0), 1.0))


def finish_run(
    network: nn.Module,
    config: TrainConfig,
    spec: ModelSpec,
    data: TrainingData,
    output: Path,
) -> ModelFolder:
    """Writes what makes a run directory a model folder.

    Temperature and prediction sets are fitted on the validation faces that did not choose the
    epoch, see :mod:`mien.training.valid_parts`; all validation faces are scored.

    Raises:
        ModelError: If ONNX and torch disagree.
    """
    network = network.cpu().float().eval()
    kind = parse_spec(config.data)[0]
    model = ModelConfig(
        architecture=config.model,
        tag=config.tag or data.train.schema.name,
        schema=data.train.schema,
        preprocessing=spec.preprocessing,
        num_features=int(network.num_features),  # type: ignore[arg-type]
        model_args=model_options(config),
        license=config.license,
        data=kind,
        prior=_learned_prior(config, data),
    )
    logits = compute_logits(network, data.valid_faces, spec.preprocessing)
    calibrates = calibration_part(data.selects)
    held_out = data.valid.select(calibrates)
    temperature, conformal = cross_fit(
        logits[calibrates], held_out.class_ids, held_out.groups, seed=config.seed
    )
    model = replace(
        model,
        temperature=temperature,
        conformal=conformal,
        quality=fit_quality(data.valid_faces.faces.permute(0, 2, 3, 1).numpy()),
    )
    evaluation = evaluate_logits(logits, model, data.valid, split="valid")
    faces = {
        "train": len(data.train), "valid": len(data.valid), "select": int(data.selects.sum()),
        "calibrate": len(held_out),
    }  # fmt: skip
    keys = [held_out.images.key(index) for index in range(len(held_out))]
    write_split(output, data.valid, seed=config.seed, faces=faces, calibrate=keys)
    save_weights(network, output / WEIGHTS)
    export_onnx(network, output / ONNX, model)
    return record_evaluation(write_config(output, model), evaluation, kind)
