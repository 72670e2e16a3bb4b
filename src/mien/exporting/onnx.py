"""ONNX export with a parity check.

The graph has two outputs, ``logits`` (N, K) and ``features`` (N, F, h, w), and a free batch size.
Batch norms stay nodes of their own (ONNX Runtime folds them when it loads the file), so that the
stored weights are exactly those of ``model.safetensors``, also where both keep them in half
precision: a ``Cast`` widens them at load, and every sum is done in float32.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from mien.atomic import check_new, environment, quiet, replacing
from mien.backends.onnx import OnnxBackend
from mien.backends.torch import load_network
from mien.errors import ConfigError, ModelError
from mien.exporting.config import RECORDS, copy_files
from mien.exporting.graph import strip_traces
from mien.hub import ONNX, WEIGHTS, ModelConfig, ModelFolder, read_model_folder
from mien.hub.card import write_config_and_card
from mien.hub.folder import refuse_bundled
from mien.models.layers import logits_and_features

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

#: Largest difference of a logit between torch and ONNX Runtime that an export may show; where the
#: largest logit is above 1, as a share of it.
PARITY = 1e-4
OPSET = 20


class _TwoOutputs(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return logits_and_features(self.network, x)


def halve_weights(network: nn.Module) -> None:
    """Rounds convolution and linear weights to half precision in place; norms stay as they are."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim > 1:
                rounded = parameter.half().float()
                if not bool(torch.isfinite(rounded).all()):
                    raise ModelError(f"weight {name} does not fit half precision.")
                parameter.copy_(rounded)


def _store_half(model: Any) -> None:
    """Stores the float32 matrices of a graph as float16, each behind a Cast."""
    from onnx import TensorProto, helper, numpy_helper

    casts, kept = [], []
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.float32 and array.ndim > 1:
            half = f"{tensor.name}.float16"
            kept.append(numpy_helper.from_array(array.astype(np.float16), half))
            casts.append(helper.make_node("Cast", [half], [tensor.name], to=TensorProto.FLOAT))
        else:
            kept.append(tensor)
    nodes = [*casts, *model.graph.node]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)


def export_onnx(
    network: nn.Module, path: Path, config: ModelConfig, *, half_weights: bool = False
) -> float:
    """Writes a network as ONNX after checking that ONNX Runtime agrees with torch.

    Args:
        network: In evaluation mode; weights are taken as they are.
        path: The file to write.
        config: Its model config.
        half_weights: Store matrices as float16; they must have been rounded by
            :func:`halve_weights`.

    Returns:
        The largest absolute difference of a logit over 64 random inputs.

    Raises:
        ModelError: If the difference is above ``PARITY`` times the largest logit, or 1 where that
            is smaller; nothing is written then.
    """
    import onnx
    from onnxscript import optimizer

    p = config.preprocessing
    sample = torch.randn(2, p.channels, p.size, p.size, generator=torch.Generator().manual_seed(0))
    packages = ("torch", "onnxscript", "onnx_ir")
    # torch writes the folder of its compiler's cache into the environment.
    cache = {"TORCHINDUCTOR_CACHE_DIR": None}
    with quiet(*packages, loggers=["torch.onnx"]), environment(cache):
        try:
            program = torch.onnx.export(
                _TwoOutputs(network).eval(),
                (sample,),
                dynamo=True,
                opset_version=OPSET,
                input_names=["input"],
                output_names=["logits", "features"],
                dynamic_shapes={"x": {0: torch.export.Dim("N")}},
                optimize=False,
                verbose=False,
            )
        except Exception as error:  # an operation that ONNX lacks, in a network of anybody's
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelError(
                f"cannot be written as ONNX ({reason})", subject=config.name
            ) from error
        assert program is not None  # noqa: S101 - dynamo=True always returns a program
        optimizer.fold_constants(program.model)
        optimizer.remove_unused_nodes(program.model)
        model = program.model_proto
    if half_weights:
        _store_half(model)
    strip_traces(model)
    onnx.checker.check_model(model, full_check=True)
    with replacing(path) as temporary:
        onnx.save_model(model, temporary)
        difference, largest = _parity(network, OnnxBackend(temporary, config), config)
        allowed = PARITY * max(largest, 1.0)
        if not difference <= allowed:
            raise ModelError(
                f"ONNX and torch disagree by {difference:.2g} on a logit (at most {allowed:.2g} is "
                f"allowed where the largest is {largest:.3g}): the export is not written."
            )
    return difference


def _parity(network: nn.Module, backend: OnnxBackend, config: ModelConfig) -> tuple[float, float]:
    """Returns the largest difference of a logit, and the largest logit."""
    p = config.preprocessing
    generator = torch.Generator().manual_seed(1)
    batch = torch.randn(64, p.channels, p.size, p.size, generator=generator)
    with torch.inference_mode():
        expected = network(batch).numpy()
    difference = np.abs(backend.run(batch.numpy()).logits - expected).max()
    return float(difference), float(np.abs(expected).max())


def save_weights(network: nn.Module, path: Path, *, half_weights: bool = False) -> None:
    """Writes a network's weights as safetensors, matrices as float16 on demand."""
    from safetensors.torch import save

    state = {}
    for name, value in network.state_dict().items():
        narrow = half_weights and value.ndim > 1 and value.is_floating_point()
        state[name] = (value.half() if narrow else value).contiguous().cpu().clone()
    with replacing(path) as temporary:
        temporary.write_bytes(save(state))


def export_run(
    model: str | Path,
    output: Path | None = None,
    *,
    half_weights: bool = False,
    overwrite: bool = False,
) -> tuple[ModelFolder, float]:
    """Exports a model folder's weights to ONNX.

    Args:
        model: A run directory or model folder with ``model.safetensors``.
        output: Folder to write; None writes ``model.onnx`` next to the weights.
        half_weights: Round matrices to half precision, in the weights too; needs ``output``.
        overwrite: Replace files that exist.

    Returns:
        The folder written, and the largest difference of a logit between torch and ONNX Runtime.

    Raises:
        ConfigError: If files would be overwritten.
        ModelError: If the weights cannot be used or the two engines disagree.
    """
    source = read_model_folder(model)
    target = source.path if output is None else output
    refuse_bundled(target)
    if half_weights and target.resolve() == source.path.resolve():
        raise ConfigError("half-precision weights need a folder of their own: give --output.")
    check_new(target / ONNX, overwrite=overwrite, option="--output")
    network = load_network(source)
    if half_weights:
        halve_weights(network)
    target.mkdir(parents=True, exist_ok=True)
    difference = export_onnx(network, target / ONNX, source.config, half_weights=half_weights)
    if target.resolve() != source.path.resolve():
        save_weights(network, target / WEIGHTS, half_weights=half_weights)
        copy_files(source.path, target, RECORDS)
    # Whatever was noted of a file of that name, this one is the float network.
    files = {name: entry for name, entry in source.config.files.items() if name != ONNX}
    return write_config_and_card(target, replace(source.config, files=files)), difference
