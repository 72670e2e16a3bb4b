"""Maps from gradients and perturbed features, through the ``grad-cam`` package (train extra).

Grad-CAM (Selvaraju et al. 2017), Grad-CAM++ (Chattopadhay et al. 2018), HiRes-CAM (Draelos and
Carin 2020), Eigen-CAM (Muhammad and Yeasin 2020) and Score-CAM (Wang et al. 2020), all at the last
feature map. Eigen-CAM shows what stands out in the features, whatever the label.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.backends import torch as backend
from mien.errors import needs_extra
from mien.explanation.activation import class_coefficients
from mien.explanation.methods import FaceBatch, register_method
from mien.preprocess import normalize

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from mien.arrays import F32, F64, I64
    from mien.recognizer import EmotionRecognizer

#: Name -> class of ``pytorch_grad_cam``, and a line for listings.
_CLASSES = {
    "gradcam": ("GradCAM", "features weighted by their mean gradient"),
    "gradcam++": ("GradCAMPlusPlus", "gradients weighted by their second and third powers"),
    "hirescam": ("HiResCAM", "features times gradients, place by place"),
    "eigencam": ("EigenCAM", "first principal component of the features; knows no label"),
    "scorecam": ("ScoreCAM", "features weighted by what they leave of the label; slow"),
}
#: Masked faces that Score-CAM runs at once.
_BATCH = 16


def tapped_network(network: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Wraps a network so that its last feature map passes through a module, returned too."""
    from torch import nn

    from mien.models.layers import forward_tapped

    class Tapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            self.tap = nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            return forward_tapped(self.network, x, self.tap)

    wrapped = Tapped().eval()
    return wrapped, wrapped.tap


@functools.cache
def quiet_score_cam() -> Any:
    """Returns the library's Score-CAM without its progress bar for each face.

    Hiding the bar by moving the process's stderr would hide what other threads write.
    """
    import torch
    from pytorch_grad_cam import ScoreCAM

    class QuietScoreCAM(ScoreCAM):  # type: ignore[misc]
        def get_cam_weights(
            self, faces: Tensor, _layer: Any, targets: Any, activations: Any, _grads: Any
        ) -> F32:
            size = (faces.shape[-2], faces.shape[-1])
            with torch.no_grad():
                # Bilinear with aligned corners, as the library scales them.
                maps = torch.nn.UpsamplingBilinear2d(size)(torch.from_numpy(activations))
                low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
                maps = (maps - low) / (high - low + 1e-8)
                scores = [
                    torch.stack([target(row) for part in (face * own[:, None]).split(_BATCH)
                                 for row in self.model(part)])
                    for target, face, own in zip(targets, faces, maps, strict=True)
                ]  # fmt: skip
            return torch.stack(scores).softmax(dim=1).numpy()

    return QuietScoreCAM


def _target(coefficients: F64) -> Callable[[Tensor], Tensor]:
    import torch

    weights = torch.from_numpy(coefficients.astype(np.float32))
    return lambda logits: (logits * weights).sum()


def _run(name: str, recognizer: EmotionRecognizer, batch: FaceBatch, columns: I64) -> F32:
    with needs_extra(f"--method {name}", "train"):
        import pytorch_grad_cam
        import torch

    config, schema = recognizer.config, recognizer.pipeline.schema
    coefficients = class_coefficients(batch.logits, columns, config, schema)
    network, tap = tapped_network(backend.load_network(recognizer.folder))
    faces = torch.from_numpy(normalize(batch.crops, config.preprocessing))
    kind = getattr(pytorch_grad_cam, _CLASSES[name][0])
    cam: Any = (quiet_score_cam() if name == "scorecam" else kind)(network, [tap])
    try:
        maps = cam(faces, [_target(row) for row in coefficients])
    finally:
        cam.activations_and_grads.release()
    return np.asarray(maps, np.float32)


for _name, (_, _summary) in _CLASSES.items():
    register_method(_name, summary=_summary, extra="train")(functools.partial(_run, _name))
