"""What a model looks at: maps of the places that speak for an emotion.

The ``cam`` and ``occlusion`` methods and the faithfulness score need no torch; ``gradcam``,
``gradcam++``, ``hirescam``, ``eigencam`` and ``scorecam`` come with the ``train`` extra.
"""

from mien.explain import gradients, occlusion  # noqa: F401 - they register their methods
from mien.explain.activation import activation_maps, class_coefficients, resize_maps
from mien.explain.classifier import Classifier, read_classifier
from mien.explain.faithfulness import Faithfulness, faithfulness
from mien.explain.image import ReadImage, explain_image, read_image
from mien.explain.methods import METHODS, FaceBatch, explain_crops, register_method
from mien.explain.painting import paint_maps

__all__ = [
    "METHODS",
    "Classifier",
    "FaceBatch",
    "Faithfulness",
    "ReadImage",
    "activation_maps",
    "class_coefficients",
    "explain_crops",
    "explain_image",
    "faithfulness",
    "paint_maps",
    "read_classifier",
    "read_image",
    "register_method",
    "resize_maps",
]
