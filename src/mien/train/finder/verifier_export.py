"""``mien finder export-verifier``: the second network as ONNX beside the first one."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from mien.atomic import replacing
from mien.errors import ConfigError, ModelError
from mien.export.onnx import halve_weights
from mien.faces.finder import FinderDetector
from mien.faces.finder_config import VERIFIER, VerifyConfig, read_finder
from mien.hub import sha256
from mien.models.verifier import SIDE, Verifier
from mien.train.finder.export import PARITY, fold_norms, trace, write_finder_config
from mien.train.finder.tune import choose_threshold
from mien.train.finder.verifying import VERIFIER_WEIGHTS, start_network

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from mien.train.finder.pool import Pool

#: The score from which alarms are counted to choose the threshold.
_LOW = 0.02


class _Judged(nn.Module):
    def __init__(self, network: Verifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, faces: Tensor, scores: Tensor) -> Tensor:
        answer: Tensor = self.network(faces, scores)
        return answer.sigmoid()


def export_verifier_onnx(network: Verifier, path: Path) -> float:
    """Writes the network as ONNX for any number of crops, weights stored as float16.

    Batch norms of the network given are folded and its weights rounded.

    Returns:
        The largest difference of a score between torch and ONNX Runtime, over noise.

    Raises:
        ModelError: If it is above ``PARITY``: nothing is written.
    """
    import onnx
    import onnxruntime

    fold_norms(network.eval())
    halve_weights(network)
    plain = _Judged(network).eval()
    generator = torch.Generator().manual_seed(0)
    faces = torch.rand(5, 1, SIDE, SIDE, generator=generator) * 255
    scores = torch.rand(5, generator=generator)
    count = torch.export.Dim("n", min=1, max=4096)
    model = trace(
        plain, (faces, scores), {"faces": {0: count}, "scores": {0: count}},
        inputs=["faces", "scores"], output="judged",
    )  # fmt: skip
    with replacing(path) as temporary:
        onnx.save_model(model, temporary)
        session = onnxruntime.InferenceSession(str(temporary), providers=["CPUExecutionProvider"])
        difference = 0.0
        for some in (1, 5):
            feed = {"faces": faces[:some].numpy(), "scores": scores[:some].numpy()}
            with torch.inference_mode():
                expected = plain(faces[:some], scores[:some]).numpy()
            difference = max(difference, float(np.abs(session.run(None, feed)[0] - expected).max()))
        if not difference <= PARITY:
            raise ModelError(f"ONNX and torch disagree by {difference:.2g}: not written.")
    return difference


def export_verifier(
    run: Path,
    output: Path,
    pool: Pool,
    *,
    propose: float,
    alarms: float,
    least: float,
    data: str,
    overwrite: bool,
) -> str:
    """Adds a trained verifier to an exported detector; returns what was written, in words.

    Args:
        run: Run directory of ``mien finder verifier``.
        output: Folder of an exported detector, the one the candidates were proposed by.
        pool: Held-out scenes, to choose the threshold on.
        propose: Lowest score of the first network for a box to be judged.
        alarms: Most false alarms a picture of animals.
        least: Lowest threshold to choose.
        data: What it was trained on, in a sentence.
        overwrite: Replace a verifier that is there.

    Raises:
        ConfigError: If there is one and ``overwrite`` is not set.
        ModelError: If the detector or the weights cannot be used, or the export fails.
    """
    config, path = read_finder(output), output / VERIFIER
    if path.exists() and not overwrite:
        raise ConfigError(f"{path} exists: type --overwrite, or give another --output.")
    difference = export_verifier_onnx(start_network(str(run / VERIFIER_WEIGHTS)), path)
    verify = VerifyConfig(propose, least, sha256(path), data)
    config = write_finder_config(output, config, verify=verify)
    detector = FinderDetector(output, verify=True, min_score=_LOW)
    threshold = choose_threshold(detector, pool.scenes["animals"], alarms=alarms, least=least)
    # Rounded up: below it there may be one more alarm.
    verify = replace(verify, min_score=ceil(threshold * 1e4) / 1e4)
    write_finder_config(output, config, verify=verify)
    return (
        f"{path}  {path.stat().st_size:,} bytes\n"
        f"parity: largest difference between torch and ONNX Runtime {difference:.1e}\n"
        f"threshold {verify.min_score:.4f}"
    )
