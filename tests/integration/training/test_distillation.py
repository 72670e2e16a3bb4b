from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("torch")

import torch

from mien.errors import ConfigError, ModelError
from mien.hub import read_model_folder
from mien.labels import get_schema
from mien.models import create_model, model_spec
from mien.models.layers import normalize_tensor
from mien.training.config import TrainConfig
from mien.training.distillation import Teachers, average_answers, load_teachers
from mien.training.network import trained_spec
from mien.training.run import train
from support.faces import write_folder


def _swapped(tmp_path: Path, teacher: Path) -> dict[str, object]:
    """A recipe on faces whose smiles and frowns are swapped in training, not in validation."""
    data = write_folder(tmp_path / "faces", 64)
    smiles, frowns = data / "train" / "happiness", data / "train" / "sadness"
    smiles.rename(data / "swapped")
    frowns.rename(smiles)
    (data / "swapped").rename(frowns)
    return {
        "data": f"folder:{data}", "model": "mienet_test", "epochs": 16, "warmup_epochs": 1,
        "batch_size": 16, "lr": 0.05, "ema_decay": 0.9, "precision": "32", "device": "cpu",
        "mixup": 0, "rotate": 5, "erase": 0, "tag": "student", "teachers": str(teacher),
        "distill_weight": 1.0,
    }  # fmt: skip


def test_a_student_believes_its_teacher_where_the_labels_are_wrong(
    trained: Path, tmp_path: Path
) -> None:
    """Labels give a third at most."""
    folder = train(TrainConfig.make(_swapped(tmp_path, trained)), tmp_path / "run", progress=False)
    assert f"teachers: {trained}" in (tmp_path / "run" / "args.yaml").read_text()
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert not any("teacher" in name for name in state["state_dict"])
    assert read_model_folder(folder.path).config.metrics["valid"]["accuracy"] > 0.5


def test_answers_are_averaged_over_views() -> None:
    torch.manual_seed(0)
    preprocessing = model_spec("mienet_test").preprocessing
    teachers = Teachers([create_model("mienet_test", num_classes=3)], temperature=1.0)
    faces = torch.randint(0, 256, (300, 1, 48, 48), dtype=torch.uint8)

    def plain(x: torch.Tensor) -> torch.Tensor:
        said: torch.Tensor = teachers(normalize_tensor(x.float(), preprocessing))
        return said

    def asked(views: int, seed: int = 0) -> torch.Tensor:
        config = TrainConfig.make({"teachers": "x", "distill_views": views, "seed": seed})
        return average_answers(teachers, faces, config, preprocessing)

    torch.testing.assert_close(asked(1), plain(faces))
    torch.testing.assert_close(asked(2), (plain(faces) + plain(faces.flip(3))) / 2)
    torch.testing.assert_close(asked(6), asked(6), rtol=0, atol=0)
    assert not torch.equal(asked(6), asked(6, seed=1))
    torch.testing.assert_close(asked(6).sum(dim=1), torch.ones(300))
    done: list[int] = []
    once = TrainConfig.make({"teachers": "x", "distill_views": 1})
    average_answers(teachers, faces, once, preprocessing, done.append)
    assert done == [256, 44]


def test_a_student_learns_what_was_asked_before_the_first_epoch(
    trained: Path, tmp_path: Path
) -> None:
    """As above, with the teacher's answers in the place of the labels."""
    bars: list[tuple[str, int | None]] = []

    @contextmanager
    def bar(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
        bars.append((what, total))
        yield lambda _done: None

    values = {**_swapped(tmp_path, trained), "distill_temperature": 1.0, "distill_views": 3}
    train(TrainConfig.make(values), tmp_path / "run", progress=False, bar=bar)
    assert [what for what, _ in bars] == ["reading faces", "asking teachers"]
    assert read_model_folder(tmp_path / "run").config.metrics["valid"]["accuracy"] > 0.5


def test_unfit_teachers_are_refused(trained: Path, tmp_path: Path) -> None:
    config = TrainConfig.make({"model": "mienet_test", "teachers": str(trained)})
    preprocessing = model_spec("mienet_test").preprocessing
    assert load_teachers(config, preprocessing) is not None
    with pytest.raises(ConfigError, match="of the same labels"):
        load_teachers(config, preprocessing, get_schema("ferplus8"))
    larger = TrainConfig.make({"model": "mienet_test", "teachers": str(trained), "size": 64})
    with pytest.raises(ConfigError, match="must see the same faces"):
        load_teachers(larger, trained_spec(larger).preprocessing)
    with pytest.raises(ModelError, match="neither a folder nor a bundled model"):
        load_teachers(TrainConfig.make({"teachers": "nowhere"}), preprocessing)
    assert load_teachers(TrainConfig.make({}), preprocessing) is None
    with pytest.raises(ConfigError, match="distill_weight"):
        TrainConfig.make({"distill_weight": 1.5})
    with pytest.raises(ConfigError, match="name them"):
        TrainConfig.make({"distill_views": 4})
