"""``mien finder export``: trained weights become the folder that the detector runs from."""

from __future__ import annotations

import copy
import itertools
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from mien.atomic import replacing, write_text
from mien.errors import ConfigError, ModelError
from mien.export.graph import strip_traces
from mien.export.onnx import OPSET, _quiet, _store_half, halve_weights
from mien.faces.finder_config import CONFIG, NETWORK, FinderConfig
from mien.hub import sha256

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from mien.models.finder import Finder

#: Largest difference of a number between torch and ONNX Runtime that an export may show.
PARITY = 1e-3
MAX_BYTES = 500_000
#: Inputs (H, W) on which the two engines are compared.
_SHAPES = ((320, 320), (480, 640), (32, 64))


def fold_norms(network: nn.Module) -> None:
    """Folds each batch norm into the convolution before it, in place."""
    for module in network.modules():
        children = list(module.named_children())
        for (name, conv), (other, norm) in itertools.pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, torch.nn.utils.fuse_conv_bn_eval(conv, norm))
                setattr(module, other, nn.Identity())


def simplify(network: Finder) -> Finder:
    """Returns a copy without batch norms: each is folded into the convolution before it.

    The input's scale goes into the first convolution too. What it answers differs from the
    original by rounding only.
    """
    plain = copy.deepcopy(network).eval()
    fold_norms(plain)
    first = plain.stem[0][0]  # type: ignore[index]
    with torch.no_grad():
        first.weight.mul_(plain.input_scale)
    plain.input_scale = 1.0
    return plain


def trace(
    network: nn.Module,
    example: tuple[Tensor, ...],
    shapes: dict[str, dict[int, Any]],
    *,
    inputs: list[str],
    output: str,
) -> Any:
    """Returns a network as a checked ONNX model, its matrices stored as float16.

    Args:
        network: In evaluation mode, its weights rounded to half precision.
        example: Inputs to trace it with.
        shapes: By parameter, the free dimensions.
        inputs: Names of the graph's inputs.
        output: Name of its output.
    """
    import onnx
    from onnxscript import optimizer

    with _quiet():
        program = torch.onnx.export(
            network, example, dynamo=True, opset_version=OPSET, input_names=inputs,
            output_names=[output], dynamic_shapes=shapes, optimize=True, verbose=False,
        )  # fmt: skip
        assert program is not None  # noqa: S101 - dynamo=True always returns a program
        optimizer.fold_constants(program.model)
        optimizer.remove_unused_nodes(program.model)
        model = program.model_proto
    _store_half(model)
    strip_traces(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def export_finder_onnx(network: Finder, path: Path) -> float:
    """Writes the network as ONNX with free height and width, weights stored as float16.

    Args:
        network: In evaluation mode.
        path: The file to write.

    Returns:
        The largest absolute difference between torch and ONNX Runtime, over noise of three sizes;
        both with the rounded weights.

    Raises:
        ModelError: If it is above ``PARITY`` or the file above ``MAX_BYTES``: nothing is written.
    """
    import onnx

    plain = simplify(network)
    halve_weights(plain)
    sides = {
        2: 32 * torch.export.Dim("h", min=1, max=256),
        3: 32 * torch.export.Dim("w", min=1, max=256),
    }
    example = (torch.zeros(1, 3, 96, 128),)
    model = trace(plain, example, {"x": sides}, inputs=["image"], output="cells")
    with replacing(path) as temporary:
        onnx.save_model(model, temporary)
        difference = _parity(plain, temporary)
        size = temporary.stat().st_size
        if not difference <= PARITY:
            raise ModelError(f"ONNX and torch disagree by {difference:.2g}: not written.")
        if size > MAX_BYTES:
            raise ModelError(f"the network takes {size:,} bytes; {MAX_BYTES:,} are allowed.")
    return difference


def _parity(network: Finder, path: Path) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for height, width in _SHAPES:
        x = torch.rand(1, 3, height, width, generator=generator) * 255
        with torch.inference_mode():
            expected = network(x).numpy()
        found = session.run(None, {"image": x.numpy()})[0]
        worst = max(worst, float(np.abs(found - expected).max()))
    return worst


def write_folder(
    network: Finder, output: Path, config: FinderConfig, *, overwrite: bool = False
) -> tuple[FinderConfig, float]:
    """Writes ``finder.onnx`` and ``finder.json``.

    Returns:
        The config as written, and the largest difference between torch and ONNX Runtime.

    Raises:
        ConfigError: If the files exist and ``overwrite`` is not set.
        ModelError: As for :func:`export_finder_onnx`.
    """
    if (output / NETWORK).exists() and not overwrite:
        raise ConfigError(f"{output / NETWORK} exists: type --overwrite, or give another --output.")
    output.mkdir(parents=True, exist_ok=True)
    difference = export_finder_onnx(network, output / NETWORK)
    return write_finder_config(output, config), difference


def write_finder_config(output: Path, config: FinderConfig, **changes: Any) -> FinderConfig:
    """Writes ``finder.json`` with the digest of the network that lies beside it."""
    config = replace(config, sha256=sha256(output / NETWORK), **changes)
    write_text(output / CONFIG, json.dumps(config.to_dict(), indent=2) + "\n")
    return config
