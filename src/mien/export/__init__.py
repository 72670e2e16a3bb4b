"""Export: from a trained network to files that run without torch."""

from mien.export.onnx import export_onnx, export_run

__all__ = ["export_onnx", "export_run"]
