"""Forms for other engines: OpenVINO's files and ``torch.export`` programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mien.backends import Backend, Outputs
from mien.errors import MissingExtraError, ModelError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from mien.hub import ModelFolder


def save_openvino(model: Any, path: Path) -> list[Path]:
    """Writes a float32 graph as OpenVINO's ``.xml`` and ``.bin``, weights as float16.

    Returns:
        The two paths, the ``.xml`` first.

    Raises:
        MissingExtraError: If OpenVINO is not installed.
        ModelError: If OpenVINO cannot take the graph.
    """
    try:
        import openvino
    except ImportError as error:
        raise MissingExtraError("--format openvino", "openvino", error.name) from error
    import tempfile
    from pathlib import Path as File

    from mien.exporting.graph import import_onnx

    with tempfile.TemporaryDirectory() as folder:
        source = File(folder) / "float.onnx"
        import_onnx().save_model(model, source)
        try:
            converted = openvino.convert_model(source)
            openvino.save_model(converted, path, compress_to_fp16=True)
        except Exception as error:  # OpenVINO's exceptions share no base of their own
            last = ([line for line in str(error).splitlines() if line] or ["no reason given"])[-1]
            raise ModelError(f"OpenVINO cannot take this network: {last[:300]}") from error
    return [path, path.with_suffix(".bin")]


def save_torch_export(folder: ModelFolder, path: Path) -> list[Path]:
    """Writes the network as a ``torch.export`` program with a free batch size.

    It is for ExecuTorch, AOTInductor and their like; mien itself runs ``model.safetensors``.

    Raises:
        ModelError: If the folder has no ``model.safetensors`` or it does not fit.
        MissingExtraError: If torch is not installed.
    """
    from mien.backends.torch import load_network

    network = load_network(folder)
    import torch

    p = folder.config.preprocessing
    sample = torch.zeros(2, p.channels, p.size, p.size)
    batch = torch.export.Dim("N", min=1)
    program = torch.export.export(network, (sample,), dynamic_shapes=({0: batch},))
    torch.export.save(program, path)
    return [path]


class TorchExportBackend(Backend):
    """Runs a ``torch.export`` program that was just written, to compare it.

    Args:
        path: The ``.pt2`` file.
    """

    name = "torch-export"

    def __init__(self, path: Path) -> None:
        import torch

        self._network = torch.export.load(path).module()

    def run(self, batch: NDArray[np.float32], *, features: bool = False) -> Outputs:
        """Runs float32 (N, C, S, S); a program has no feature map."""
        import torch

        del features

        with torch.inference_mode():
            return Outputs(self._network(torch.from_numpy(batch)).numpy(), None)
