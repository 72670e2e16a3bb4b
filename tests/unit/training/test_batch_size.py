from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from mien.errors import ConfigError
from mien.training import batch_size
from mien.training.batch_size import choose_batch_size, largest_that_fits
from mien.training.config import TrainConfig
from mien.training.directory import prepare_directory, settle_batch_size
from mien.training.distributed.processes import DistInfo, check_dist_info


class _Memory:
    """Stands in for steps on a device with room for so many faces."""

    def __init__(self, room: int, error: Exception | None = None) -> None:
        self.room, self.tried = room, list[int]()
        self.error = error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")

    def __call__(self, *given: Any) -> None:
        self.tried.append(given[-1])
        if given[-1] > self.room:
            raise self.error


@pytest.mark.parametrize(
    ("room", "found", "tried"),
    [(48, 32, [128, 64, 32]), (500, 128, [128]), (4, 4, [128, 64, 32, 16, 8, 4]),
     (0, 2, [128, 64, 32, 16, 8, 4])],
)  # fmt: skip
def test_the_batch_is_halved_until_it_fits(room: int, found: int, tried: list[int]) -> None:
    memory = _Memory(room)
    assert largest_that_fits(128, memory) == found
    assert memory.tried == tried


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
        MemoryError(),
    ],
)
def test_memory_runs_out_in_several_words(error: Exception) -> None:
    assert largest_that_fits(8, _Memory(4, error)) == 4


def test_other_errors_are_not_taken_for_full_memory() -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        largest_that_fits(8, _Memory(4, RuntimeError("mat1 and mat2 shapes cannot be multiplied")))


def _unmade(_: TrainConfig) -> Any:
    raise AssertionError("nothing is built on a processor")


@pytest.mark.parametrize(
    ("count", "size"), [(28_000, 128), (512, 128), (511, 64), (180, 32), (5, 2)]
)
def test_on_a_processor_the_faces_bound_it(count: int, size: int) -> None:
    config = TrainConfig(batch_size="auto", device="cpu")  # type: ignore[arg-type]
    assert choose_batch_size(config, count, None, _unmade) == size  # type: ignore[arg-type]


def test_on_a_gpu_the_heaviest_epoch_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, made = _Memory(300), list[TrainConfig]()
    monkeypatch.setattr(batch_size, "_try_steps", memory)
    config = TrainConfig(
        batch_size=0, device="cuda", first_size=32, weights="x", freeze="features", freeze_epochs=2,
        unfreeze=1, teachers="t", distill_views=4, lr=0.03,
    )  # fmt: skip

    def choose(count: int, recipe: TrainConfig) -> int:
        return choose_batch_size(recipe, count, None, made.append)  # type: ignore[arg-type]

    assert choose(28_000, config) == 256
    assert memory.tried == [1024, 512, 256]
    (recipe,) = made
    assert (recipe.batch_size, recipe.first_size, recipe.freeze, recipe.teachers) == (
        1024, 0, "none", ""
    )  # fmt: skip
    assert recipe.lr == 0.03
    assert choose(200, config) == 32, "a quarter of the faces"
    live = TrainConfig(device="cuda", teachers="t", weights="x", freeze="features")
    choose(200, live)
    assert (made[-1].teachers, made[-1].freeze) == ("t", "features")


def test_the_word_is_a_number_of_the_recipe() -> None:
    for given in ("auto", 0, "0"):
        assert TrainConfig.make({"batch_size": given}).batch_size == 0
    for given in (1, -2, "all"):
        with pytest.raises(ConfigError, match="batch_size"):
            TrainConfig.make({"batch_size": given})


def test_the_number_stays_in_the_run_directory(tmp_path: Path) -> None:
    auto = TrainConfig(batch_size=0)
    output = tmp_path / "run"
    prepare_directory(output, auto, resume=False, overwrite=False)
    assert settle_batch_size(output, auto, lambda: 32).batch_size == 32
    assert TrainConfig.load(output / "args.yaml").batch_size == 32
    prepare_directory(output, auto, resume=True, overwrite=False)
    assert settle_batch_size(output, auto, lambda: 64).batch_size == 32, "a resumed run keeps it"
    prepare_directory(output, TrainConfig(batch_size=32), resume=True, overwrite=False)
    with pytest.raises(ConfigError, match="batch_size \\(32 then, 16 now\\)"):
        prepare_directory(output, TrainConfig(batch_size=16), resume=True, overwrite=False)


def test_several_processes_need_a_number() -> None:
    with pytest.raises(ConfigError, match="auto is for one process"):
        check_dist_info(TrainConfig(batch_size=0, device="cpu"), DistInfo(0, 2, 0, 2))
