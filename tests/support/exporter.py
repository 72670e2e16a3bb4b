"""What PyTorch does anew for each ONNX export, and tests do once per process.

Imported by the server process of :mod:`support.processes`, so that what is forked from it has it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_REGISTRATION = "torch.onnx._internal.exporter._registration"
_graphs: dict[tuple[str, tuple[int, ...]], bytes] = {}


def keep_table() -> None:
    """Keeps the table of the next export for all that follow, once the exporter was imported."""
    registry = getattr(sys.modules.get(_REGISTRATION), "ONNXRegistry", None)
    if registry is not None and not hasattr(registry.from_torchlib, "cache_info"):
        registry.from_torchlib = staticmethod(functools.cache(registry.from_torchlib))


def trace_once(*, once: bool = True) -> None:
    """Lets ``torch.onnx.export`` trace networks of the same layers once, or each anew again."""
    torch = sys.modules.get("torch")
    if torch is not None:
        plain = getattr(torch.onnx.export, "__wrapped__", torch.onnx.export)
        torch.onnx.export = traced_once(plain) if once else plain


@dataclass
class _Program:
    """As much of PyTorch's ``ONNXProgram`` as mien uses."""

    model: Any

    @property
    def model_proto(self) -> Any:
        import onnx_ir

        return onnx_ir.to_proto(self.model)


def traced_once(export: Callable[..., Any]) -> Callable[..., Any]:
    """Returns ``torch.onnx.export`` that traces networks of the same layers once.

    Another network of them gets that graph with its own weights. mien compares each export with
    its network, and so it would find where a graph does not fit.
    """

    @functools.wraps(export)
    def traced(network: Any, inputs: tuple[Any], *place: Any, **options: Any) -> Any:
        if place:  # to a file: that is not how mien exports
            return export(network, inputs, *place, **options)
        import onnx
        import onnx_ir

        key = (repr(network), tuple(inputs[0].shape))
        if key not in _graphs:
            program = export(network, inputs, **options)
            _graphs[key] = program.model_proto.SerializeToString()
            return program
        model = onnx_ir.from_proto(onnx.load_from_string(_graphs[key]))
        weights = network.state_dict()
        for name in weights.keys() & model.graph.initializers.keys():
            array = weights[name].detach().cpu().numpy()
            model.graph.initializers[name].const_value = onnx_ir.tensor(array, name=name)
        return _Program(model)

    return traced
