"""The end of a run: weights, temperature, ONNX, evaluation and card make it a model folder."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from mien.conformal import fit_conformal
from mien.data.registry import parse_spec
from mien.data.run_split import write_split
from mien.evaluation import evaluate_logits, record_evaluation
from mien.exporting.onnx import export_onnx, save_weights
from mien.hub import ONNX, WEIGHTS, ModelConfig, ModelFolder, write_config
from mien.metrics import fit_temperature, softmax
from mien.quality import fit_quality
from mien.training.data.augment import normalize_tensor
from mien.training.network import model_options

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


def finish_run(
    network: nn.Module,
    config: TrainConfig,
    spec: ModelSpec,
    data: TrainingData,
    output: Path,
) -> ModelFolder:
    """Writes what makes a run directory a model folder.

    The temperature is the one that minimises the negative log-likelihood of the labels of the
    validation faces; the thresholds of prediction sets are set on them too.

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
    )
    logits = compute_logits(network, data.valid_faces, spec.preprocessing)
    temperature = fit_temperature(logits, data.valid.class_ids)
    probs = softmax(logits, temperature=temperature)
    model = replace(
        model,
        temperature=temperature,
        conformal=fit_conformal(probs, data.valid.class_ids),
        quality=fit_quality(data.valid_faces.faces.permute(0, 2, 3, 1).numpy()),
    )
    evaluation = evaluate_logits(logits, model, data.valid, split="valid")
    faces = {"train": len(data.train), "valid": len(data.valid)}
    write_split(output, data.valid, seed=config.seed, faces=faces)
    save_weights(network, output / WEIGHTS)
    export_onnx(network, output / ONNX, model)
    return record_evaluation(write_config(output, model), evaluation, kind)
