"""Importing it prepares exports as :mod:`support.exporter` says, for processes forked then."""

from __future__ import annotations

from torch.onnx._internal.exporter._registration import ONNXRegistry

from mien.exporting.onnx import OPSET
from support.exporter import keep_table, trace_once

trace_once()
keep_table()
ONNXRegistry.from_torchlib(opset_version=OPSET)
