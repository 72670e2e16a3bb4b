"""Export: from a trained network to files that run without torch."""

from typing import TYPE_CHECKING

from mien import lazy_names

if TYPE_CHECKING:
    from mien.exporting.config import FORMATS, ExportConfig
    from mien.exporting.formats import export_formats
    from mien.exporting.onnx import export_onnx, export_run
    from mien.exporting.result import ExportResult, export

__all__ = [
    "FORMATS",
    "ExportConfig",
    "ExportResult",
    "export",
    "export_formats",
    "export_onnx",
    "export_run",
]

# Only export_onnx and export_run need torch.
__getattr__ = lazy_names(
    __name__,
    {
        "mien.exporting.config": ("FORMATS", "ExportConfig"),
        "mien.exporting.formats": ("export_formats",),
        "mien.exporting.onnx": ("export_onnx", "export_run"),
        "mien.exporting.result": ("ExportResult", "export"),
    },
)
