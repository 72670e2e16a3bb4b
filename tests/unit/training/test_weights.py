from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from safetensors.torch import save_file

from mien.errors import ConfigError, ModelError
from mien.hub import bundled_models, read_model_folder
from mien.hub.tensors import read_tensors
from mien.models import create_model
from mien.preprocess import Preprocessing
from mien.training.config import TrainConfig
from mien.training.network import (
    build_network,
    find_weights,
    input_of,
    load_weights,
    model_options,
    parse_args,
    trained_spec,
)


def _save(network: torch.nn.Module, path: Path) -> Path:
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, path)
    return path


def test_weights_of_the_same_network_are_all_taken(tmp_path: Path) -> None:
    source = create_model("mienet_test", num_classes=3)
    path = _save(source, tmp_path / "w.safetensors")
    network = create_model("mienet_test", num_classes=3)
    assert load_weights(network, path, model="mienet_test") == []
    for name, value in source.state_dict().items():
        assert torch.equal(network.state_dict()[name], value), name


def test_another_number_of_classes_leaves_the_head_new(tmp_path: Path) -> None:
    source: Any = create_model("mienet_test", num_classes=3)
    path = _save(source, tmp_path / "w.safetensors")
    network: Any = create_model("mienet_test", num_classes=5)
    head = network.head.weight.clone()
    fresh = load_weights(network, path, model="mienet_test")
    assert fresh == ["head.weight", "head.bias"]
    assert torch.equal(network.head.weight, head)
    assert torch.equal(network.stem[0].weight, source.stem[0].weight)


def test_weights_of_another_network_name_the_first_tensors(tmp_path: Path) -> None:
    path = _save(create_model("mienet_s", num_classes=3), tmp_path / "w.safetensors")
    network = create_model("mienet_test", num_classes=3)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ModelError, match=r"stem\.0\.weight is \(32, 1, 3, 3\), not \(8, 1, 3, 3\)"):
        load_weights(network, path, model="mienet_test")
    assert all(torch.equal(network.state_dict()[n], v) for n, v in before.items())


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_pickles_are_not_opened(tmp_path: Path, how: str) -> None:
    path = tmp_path / "w.safetensors"
    ran = tmp_path / "ran"

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (ran,)

    if how == "torch":
        torch.save({"trap": Trap()}, path)
    else:
        path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ModelError, match="pickle"):
        read_tensors(path)
    assert not ran.exists()


def test_a_header_whose_length_begins_like_a_pickle_is_read(tmp_path: Path) -> None:
    path, weights = tmp_path / "w.safetensors", {"weight": torch.ones(2)}
    for length in range(640, 1500, 8):
        save_file(weights, path, metadata={"pad": "x" * length})
        if path.read_bytes()[:2] == b"\x80\x04":
            break
    else:
        pytest.fail("no header had that length")
    assert torch.equal(read_tensors(path)["weight"], torch.ones(2))


@pytest.mark.parametrize("name", bundled_models())
def test_a_model_folder_and_a_bundled_name_stand_for_their_weights(name: str) -> None:
    folder = read_model_folder(name)
    path = find_weights(name, folder.config.architecture)
    assert path == find_weights(str(folder.path), folder.config.architecture)
    network = create_model(folder.config.architecture, num_classes=len(folder.config.schema.labels))
    assert load_weights(network, path, model=folder.config.architecture) == []


def test_damaged_and_missing_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"\x10" * 64)
    with pytest.raises(ModelError, match="no readable safetensors"):
        read_tensors(tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match="no such file"):
        find_weights(str(tmp_path / "no.safetensors"), "mienet_s")
    with pytest.raises(ModelError, match="model folder that holds"):
        find_weights(str(tmp_path), "mienet_s")
    with pytest.raises(ConfigError, match="networks of timm's"):
        find_weights("hub", "mienet_s")


def test_input_takes_another_size_and_color() -> None:
    gray = Preprocessing(size=48)
    assert input_of(gray, size=64, color="rgb") == Preprocessing(size=64, color="rgb")
    assert input_of(gray) == gray
    fixed = Preprocessing(size=48, normalization="fixed", mean=(0.5,), std=(0.2,))
    assert input_of(fixed, color="rgb").mean == (0.5, 0.5, 0.5)
    assert trained_spec(TrainConfig(size=40, color="rgb")).preprocessing.channels == 3


def test_model_args_are_read_and_refused() -> None:
    assert parse_args("a=1, b=0.5,c=same ,d=true") == {"a": 1, "b": 0.5, "c": "same", "d": True}
    with pytest.raises(ConfigError, match="no key=value"):
        parse_args("pad_type")
    with pytest.raises(ConfigError, match="follows from the data"):
        model_options(TrainConfig(model_args="num_classes=3"))
    config = TrainConfig(model="mienet_test", model_args="colour=red")
    with pytest.raises(ConfigError, match="cannot be built"):
        build_network(config, trained_spec(config), 3)


def test_a_quick_start_is_no_larger_than_the_faces() -> None:
    larger = TrainConfig(model="mienet_test", first_size=64)
    with pytest.raises(ConfigError, match="must not be above the size"):
        build_network(larger, trained_spec(larger), 3)
    with pytest.raises(ConfigError, match="at least 8"):
        TrainConfig(first_size=4)
