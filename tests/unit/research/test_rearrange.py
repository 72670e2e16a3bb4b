"""The detector's first network, rearranged: the same numbers from pixels as they are."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import ROOT

sys.path.insert(0, str(ROOT))
torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from research.detector.export import FromPixels, export_int8, export_onnx, simplify
from research.detector.network import DetectorNetwork, NetworkConfig
from research.detector.rearrange import difference, group_weights, rearrange

from mien.backends.session import Session
from mien.detectors.cells import FaceProposer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_convolution_over_groups_of_pixels_is_the_same_one() -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(-60, 60, (5, 3, 3, 3)).astype(np.int8)
    pixels = rng.integers(0, 256, (1, 8, 24, 3)).astype(np.float64)
    planes = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    expected = torch.nn.functional.conv2d(
        planes, torch.from_numpy(weight).double(), stride=2, padding=1
    )
    groups = torch.from_numpy(pixels.reshape(1, 8, 6, 12)).permute(0, 3, 1, 2)
    grouped = torch.from_numpy(group_weights(weight)).double()
    assert grouped.shape == (10, 12, 3, 2)
    # A group before the first one and a row above, nothing after and below.
    found = torch.nn.functional.conv2d(
        torch.nn.functional.pad(groups, (1, 0, 1, 0)), grouped, stride=(2, 1)
    )
    found = found.permute(0, 2, 3, 1).reshape(1, 4, 12, 5).permute(0, 3, 1, 2)
    assert torch.equal(found, expected)


@pytest.fixture(scope="module")
def network() -> Any:
    """A small one that answers other numbers for every cell."""
    torch.manual_seed(0)
    network = DetectorNetwork(NetworkConfig((4, 6), (8, 8, 8), (1, 1, 1), 8)).eval()
    for head in network.heads:
        torch.nn.init.normal_(head.weight, std=0.5)
    return network


@pytest.fixture(scope="module")
def quantised(network: Any, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The quantised network as it was before, and rearranged."""
    kept: list[Any] = []

    def noise(*_: object) -> Iterator[np.ndarray]:
        rng = np.random.default_rng(1)
        yield rng.integers(0, 256, (1, 3, 64, 96)).astype(np.float32)

    def keep(model: Any) -> Any:
        kept.append(onnx.ModelProto.FromString(model.SerializeToString()))
        return rearrange(model)

    folder = tmp_path_factory.mktemp("quantised")
    pack: Any = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("research.detector.export.calibration_inputs", noise)
        patch.setattr("research.detector.rearrange.rearrange", keep)
        export_int8(network, pack, folder / "after.onnx")
    onnx.save_model(kept[0], folder / "before.onnx")
    return [folder / "before.onnx", folder / "after.onnx"]


def test_rearranged_network_answers_as_before(quantised: list[Path]) -> None:
    before, after = quantised
    assert difference(before, after) <= 1e-5
    kinds = [node.op_type for node in onnx.load(after).graph.node]
    assert "Resize" not in kinds
    assert kinds.count("Gemm") == 3


def test_both_exports_take_pixels_to_rows_of_cells(
    network: Any, quantised: list[Path], tmp_path: Path
) -> None:
    assert export_onnx(network, tmp_path / "float.onnx") < 1e-3
    pixels = np.random.default_rng(2).integers(0, 256, (96, 64, 3)).astype(np.uint8)
    with torch.inference_mode():
        expected = FromPixels(simplify(network))(torch.from_numpy(pixels[None])).numpy()
    for path in (tmp_path / "float.onnx", quantised[1]):
        session = Session(path, threads=1)
        (cells,) = session.run(None, {"image": pixels[None]})
        assert cells.shape == expected.shape == (12 * 8 + 6 * 4 + 3 * 2, 15)
        assert np.abs(cells - expected).mean() < 0.1 * expected.std()
        boxes, logits, points = FaceProposer(session)(pixels, -99.0)
        assert (len(boxes), len(logits), points.shape) == (126, 126, (126, 5, 2))


def test_network_that_is_quantised_otherwise_is_refused(quantised: list[Path]) -> None:
    model = onnx.load(quantised[0])
    (scale,) = [t for t in model.graph.initializer if t.name == "image_scale"]
    scale.CopyFrom(onnx.numpy_helper.from_array(np.float32(0.5), "image_scale"))
    with pytest.raises(ValueError, match="quantised as it is"):
        rearrange(model)
