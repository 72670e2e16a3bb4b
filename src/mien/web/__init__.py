"""A page that reads faces in the visitor's own browser; ``mien web`` builds it.

The folder ``page`` holds its sources, JavaScript modules that repeat the Python path from pixels
to probabilities. A build lays a model, the detector, the example and ONNX Runtime Web next to them.
"""

from mien.web.build import Page, build_page
from mien.web.runtime import VERSION as RUNTIME_VERSION

__all__ = ["RUNTIME_VERSION", "Page", "build_page"]
