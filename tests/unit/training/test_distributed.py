from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

pytest.importorskip("torch")

from mien.errors import ConfigError, DataError, MienError, MissingExtraError
from mien.training.config import TrainConfig
from mien.training.data.faces import EpochOrder
from mien.training.distributed.launch import _told, _work_or_wait, node_rank
from mien.training.distributed.processes import SINGLE, DistInfo, check_dist_info, read_dist_info
from mien.training.run import train


def _values(data: Path, **more: object) -> dict[str, object]:
    return {
        "data": f"folder:{data}", "model": "mienet_test", "epochs": 4, "warmup_epochs": 1,
        "batch_size": 16, "lr": 0.02, "ema_decay": 0.9, "threads": 1, "precision": "32",
        "seed": 3, "tag": "drawn", **more,
    }  # fmt: skip


@pytest.mark.parametrize("world", [2, 3, 8])
@pytest.mark.parametrize("weights", [None, torch.arange(1.0, 104.0)])
def test_processes_share_each_batch_of_one(world: int, weights: torch.Tensor | None) -> None:
    alone = EpochOrder(103, 24, seed=1, weights=weights)
    alone.set_epoch(2)
    parts = []
    for rank in range(world):
        order = EpochOrder(
            103, 24, seed=1, weights=weights, dist=DistInfo(rank, world, rank, world)
        )
        order.set_epoch(2)
        parts.append(list(order))
        assert len(parts[-1]) == len(order) == len(alone)
    for step, batch in enumerate(alone):
        assert sorted(i for part in parts for i in part[step]) == sorted(batch)


def test_processes_score_each_face_once() -> None:
    orders = [EpochOrder(257, 128, shuffle=False, dist=DistInfo(r, 2, r, 2)) for r in (0, 1)]
    batches = [list(order) for order in orders]
    assert [len(part) for part in batches] == [3, 3]
    assert batches[1][2] == []  # as many steps in each process, though nothing is left
    seen = Counter(i for part in batches for batch in part for i in batch)
    assert seen == Counter(range(257))


def test_rank_is_that_of_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_dist_info() == SINGLE
    for name, value in {
        "TORCHELASTIC_RUN_ID": "x", "RANK": "5", "WORLD_SIZE": "6", "LOCAL_RANK": "1",
        "LOCAL_WORLD_SIZE": "2",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    dist = read_dist_info()
    assert dist == DistInfo(5, 6, 1, 2)
    assert not dist.is_rank_zero


@pytest.mark.parametrize(
    ("values", "dist", "match"),
    [
        ({"devices": 3}, SINGLE, "give 126"),
        ({"devices": 2, "batch_size": 2}, SINGLE, "give 4"),
        ({"devices": 2, "device": "mps"}, SINGLE, "mps"),
        ({"devices": 3}, DistInfo(0, 2, 0, 2), "torchrun started 2"),
        ({"batch_size": 9}, DistInfo(0, 2, 0, 2), "give 8"),
    ],
)
def test_unfit_recipe_is_refused(values: dict[str, object], dist: DistInfo, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        check_dist_info(TrainConfig.make({"device": "cpu", **values}), dist)


def test_missing_gpus_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match="this machine has 1"):
        check_dist_info(TrainConfig.make({"devices": 2, "device": "cuda"}), SINGLE)


def test_several_machines_need_to_know_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    config = TrainConfig.make({"num_nodes": 2})
    with pytest.raises(ConfigError, match="NODE_RANK, MASTER_ADDR, MASTER_PORT is not set"):
        node_rank(config)
    for name, value in (("NODE_RANK", "1"), ("MASTER_ADDR", "a"), ("MASTER_PORT", "1")):
        monkeypatch.setenv(name, value)
    assert node_rank(config) == 1
    monkeypatch.setenv("NODE_RANK", "2")
    with pytest.raises(ConfigError, match="NODE_RANK is '2'"):
        node_rank(config)


def test_callbacks_do_not_follow_into_processes(tmp_path: Path) -> None:
    from mien.training import Callback

    config = TrainConfig.make(_values(tmp_path, devices=2))
    with pytest.raises(ConfigError, match="name callbacks in the recipe"):
        train(config, tmp_path / "run", callbacks=[Callback()])


@pytest.mark.parametrize(
    "error",
    [
        DataError("has: a colon", subject="folder: faces", hint="Type: --data DIR"),
        MissingExtraError("logger: wandb", "track", "wandb"),
    ],
)
def test_what_a_process_raised_is_told_whole(error: MienError, tmp_path: Path) -> None:
    def fail(_config: TrainConfig, _output: Path) -> None:
        raise error

    with pytest.raises(Exception, match=r"\w") as caught:
        _work_or_wait(fail, TrainConfig(), tmp_path, {})
    # As torch writes it into the file of the process.
    said: dict[str, object] = {
        "message": f"{type(caught.value).__name__}: {caught.value}",
        "extraInfo": {"timestamp": "1"},
    }
    told = _told(1, ProcessFailure(1, 99, 1, _error_file(tmp_path, said)), tmp_path)
    assert type(told) is type(error)
    assert vars(told) == vars(error)
    assert str(told) == str(error)


def test_what_is_no_error_of_mien_is_told_with_its_process(tmp_path: Path) -> None:
    path = _error_file(
        tmp_path, {"message": "ConfigError: no: thing", "extraInfo": {"timestamp": "1"}}
    )
    told = _told(3, ProcessFailure(3, 99, 1, path), tmp_path)
    assert "process 3 of the training failed: ConfigError: no: thing" in str(told)


def _error_file(folder: Path, said: dict[str, object]) -> str:
    (folder / "error.json").write_text(json.dumps({"message": {**said, "errorCode": 1}}))
    return str(folder / "error.json")
