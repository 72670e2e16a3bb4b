"""Starting a training in several processes, as ``torchrun`` does, and saying how it ended."""

from __future__ import annotations

import logging
import os
import pickle
import time
import uuid
from typing import TYPE_CHECKING, Any, TypeVar

from mien.atomic import environment, log_level
from mien.errors import ConfigError, MienError, ModelError
from mien.training.distributed.processes import FailedElsewhereError, how_it_stands, read_dist_info

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

    from mien.training.config import TrainConfig

    T = TypeVar("T")

#: Seconds that a process which only lost the others leaves to the one that knows why.
_GRACE = 5.0


class _CarriedError(Exception):
    """Brings an error of mien whole through the text by which torch tells how a process failed."""

    def __init__(self, error: MienError) -> None:
        super().__init__(pickle.dumps(error).hex())


def must_launch(config: TrainConfig) -> bool:
    """Tells whether a recipe wants processes that nobody has started yet."""
    return config.devices * config.num_nodes > 1 and read_dist_info().world_size == 1


def tells_result(config: TrainConfig) -> bool:
    """Tells whether this is the process, of all on all machines, that tells the result."""
    dist = read_dist_info()
    return dist.is_rank_zero if dist.world_size > 1 else node_rank(config) == 0


def node_rank(config: TrainConfig) -> int:
    """Returns the number of this machine, 0 for the first."""
    if config.num_nodes == 1:
        return 0
    missing = [n for n in ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT") if not os.environ.get(n)]
    rank = os.environ.get("NODE_RANK", "")
    if missing or not rank.isdecimal() or int(rank) >= config.num_nodes:
        raise ConfigError(
            f"num_nodes is {config.num_nodes}, but {', '.join(missing) or f'NODE_RANK is {rank!r}'}"
            f"{' is not set' if missing else ''}: start the command on each machine with NODE_RANK "
            f"(0 to {config.num_nodes - 1}), MASTER_ADDR and MASTER_PORT of the first, or with "
            "torchrun."
        )
    return int(rank)


def launch(work: Callable[..., T], config: TrainConfig, output: Path, **arguments: Any) -> T:
    """Runs ``work(config, output, **arguments)`` in ``config.devices`` new processes.

    ``work`` can be imported, and what it is given and returns can be pickled. What the first
    process of this machine returned is returned.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    nodes = config.num_nodes
    chosen = LaunchConfig(nodes, nodes, config.devices, max_restarts=0, **_meeting(config))
    try:
        with (
            # What a process raised is told once, below.
            log_level(logging.CRITICAL, "torch.distributed.elastic"),
            environment({"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "10"}, keep=True),
        ):
            results = elastic_launch(chosen, _work_or_wait)(work, config, output, arguments)
    except ChildFailedError as error:
        raise _told(*error.get_first_failure(), output) from None
    except SignalException:
        raise KeyboardInterrupt from None
    made: T = results[min(results)]
    return made


def _meeting(config: TrainConfig) -> dict[str, Any]:
    """Returns where the processes find each other."""
    if config.num_nodes == 1:
        here = {"rdzv_endpoint": "localhost:0", "local_addr": "localhost"}
        return {"rdzv_backend": "c10d", "run_id": uuid.uuid4().hex, **here}
    rank = node_rank(config)
    return {
        "rdzv_backend": "static",
        "rdzv_endpoint": f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}",
        "rdzv_configs": {"rank": rank, "timeout": 900},
        "run_id": "mien",
    }


def _work_or_wait(
    work: Callable[..., T], config: TrainConfig, output: Path, arguments: dict[str, Any]
) -> T:
    try:
        return work(config, output, **arguments)
    except MienError as error:
        if isinstance(error, FailedElsewhereError):
            time.sleep(_GRACE)  # the first to end is the one whose words are told
        raise _CarriedError(error) from error


def _told(rank: int, failure: ProcessFailure, output: Path) -> MienError:
    """Returns what a process raised, or an error that says how it was ended."""
    if failure.exitcode < 0:
        return ModelError(
            f"process {rank} of the training was ended by {failure.signal_name()}; where nobody "
            f"did that, memory may have run out. {how_it_stands(output)}"
        )
    message: Any = failure.message
    if isinstance(message, dict):
        message = message.get("message", "")
    name, _, text = str(message).partition(": ")
    if name == _CarriedError.__name__:
        told: MienError = pickle.loads(bytes.fromhex(text))  # noqa: S301 - of this job's processes
        return told
    return ModelError(f"process {rank} of the training failed: {message}. {how_it_stands(output)}")
