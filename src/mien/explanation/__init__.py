"""Explanations: maps of the parts of a face that speak for an emotion.

The ``cam`` and ``occlusion`` methods and the faithfulness score need no torch; ``gradcam``,
``gradcam++``, ``hirescam``, ``eigencam``, ``scorecam`` and ``rollout`` come with the ``train``
extra.
"""

from mien.explanation import gradients, rollout  # noqa: F401 - they register their methods
from mien.explanation.activation import (
    Classifier,
    activation_maps,
    class_coefficients,
    read_classifier,
    resize_maps,
)
from mien.explanation.faithfulness import Faithfulness, faithfulness
from mien.explanation.image import Explanation, ReadImage, explain, read_image
from mien.explanation.methods import (
    METHODS,
    FaceBatch,
    choose_method,
    explain_crops,
    light_method,
    register_method,
)
from mien.explanation.sheets import paint_maps

__all__ = [
    "METHODS",
    "Classifier",
    "Explanation",
    "FaceBatch",
    "Faithfulness",
    "ReadImage",
    "activation_maps",
    "choose_method",
    "class_coefficients",
    "explain",
    "explain_crops",
    "faithfulness",
    "light_method",
    "paint_maps",
    "read_classifier",
    "read_image",
    "register_method",
    "resize_maps",
]
