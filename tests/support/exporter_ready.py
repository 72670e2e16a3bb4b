"""Importing it builds the table of :mod:`support.exporter`, for the processes forked afterwards."""

from __future__ import annotations

from torch.onnx._internal.exporter._registration import ONNXRegistry

from mien.exporting.onnx import OPSET
from support.exporter import keep_table

keep_table()
ONNXRegistry.from_torchlib(opset_version=OPSET)
