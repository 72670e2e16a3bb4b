"""Training in several processes: each takes its part of every batch, all keep equal weights.

They are started by ``torchrun``, or by :mod:`mien.training.distributed.launch` in the same way.
"""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import distributed

from mien.atomic import log_level
from mien.errors import ConfigError, MienError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import nn

    from mien.training.config import TrainConfig

    T = TypeVar("T")

#: How long processes wait for one that lives and says nothing; a dead one is noticed at once.
TIMEOUT = timedelta(minutes=30)
_LOST = ("gloo", "nccl", "connection closed", "connection reset", "broken pipe")


class FailedElsewhereError(MienError):
    """Another process of the training failed and says why; this one ends with it."""


@dataclass(frozen=True)
class DistInfo:
    """The rank of a process among those that train together; rank zero writes the files.

    ``local_rank`` is its number on this machine, and that of its GPU.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1

    @property
    def is_rank_zero(self) -> bool:
        """Whether it is the one that writes."""
        return self.rank == 0


#: A process that trains alone.
SINGLE = DistInfo()


def read_dist_info() -> DistInfo:
    """Reads what ``torchrun`` tells this process; ``SINGLE`` without it."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return SINGLE
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    return DistInfo(*(int(os.environ[name]) for name in names))


def check_dist_info(config: TrainConfig, dist: DistInfo) -> None:
    """Checks that a recipe can be trained in so many processes."""
    world, local = config.devices * config.num_nodes, config.devices
    if dist.world_size > 1:
        world, local = dist.world_size, dist.local_world_size
        if config.devices not in (1, local):
            raise ConfigError(
                f"devices is {config.devices}, but torchrun started {local} processes on this "
                "machine: leave devices out."
            )
    if world == 1:
        return
    if config.device == "mps" or ":" in config.device:
        reason = f"one process only can train on {config.device}: leave devices and num_nodes out."
        raise ConfigError(reason)
    if uses_gpu(config) and torch.cuda.device_count() < local:
        reason = f"processes need as many GPUs; this machine has {torch.cuda.device_count()}"
        raise ConfigError(reason, subject=local, hint="Give fewer devices, or device: cpu.")
    if not config.batch_size:
        raise ConfigError("auto is for one process: give a number", subject="batch_size")
    if config.batch_size % world or config.batch_size < 2 * world:
        raise ConfigError(
            f"batch_size {config.batch_size} cannot be shared by {world} processes, which need "
            f"equal parts of at least 2 faces: give {max(config.batch_size // world, 2) * world}."
        )


def uses_gpu(config: TrainConfig) -> bool:
    """Tells whether a recipe trains on CUDA here."""
    named = config.device.startswith("cuda")
    return named or (config.device == "auto" and torch.cuda.is_available())


@contextmanager
def process_settings(config: TrainConfig, dist: DistInfo) -> Iterator[None]:
    """Sets threads, log levels and warnings of a training, and puts all back in the end.

    The caller's random numbers of torch go on afterwards as if nothing had been drawn.
    """
    threads, chosen = torch.get_num_threads(), config.threads
    if not chosen and dist.local_world_size > 1 and not uses_gpu(config):
        chosen = max((os.cpu_count() or 1) // dist.local_world_size, 1)
    number = config.device.partition(":")[2]
    gpus = [int(number or torch.cuda.current_device())] if uses_gpu(config) else []
    with (
        warnings.catch_warnings(),
        log_level(logging.ERROR, "lightning.pytorch", "lightning.fabric"),
        torch.random.fork_rng(gpus),
    ):
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\).*")
        torch.set_num_threads(chosen or threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


@contextmanager
def init_distributed(config: TrainConfig) -> Iterator[DistInfo]:
    """Connects this process with the others that ``torchrun`` started, and yields its rank."""
    dist = read_dist_info()
    check_dist_info(config, dist)
    if dist.world_size == 1:
        yield dist
        return
    if uses_gpu(config):
        torch.cuda.set_device(dist.local_rank)
    distributed.init_process_group("nccl" if uses_gpu(config) else "gloo", timeout=TIMEOUT)
    yield dist
    # After a failure the others may be gone, and to leave in order would mean to wait for them.
    distributed.destroy_process_group()


@contextmanager
def fail_together(dist: DistInfo) -> Iterator[None]:
    """Makes work that fails in one process fail in all, in others by ``FailedElsewhereError``."""
    if dist.world_size == 1:
        yield
        return
    error: MienError | None = None
    try:
        yield
    except MienError as failure:
        error = failure
    failed: list[bool] = [False] * dist.world_size
    distributed.all_gather_object(failed, error is not None)
    if error is not None and not any(failed[: dist.rank]):
        raise error
    if any(failed):
        raise FailedElsewhereError(f"process {failed.index(True)} of the training failed.")


def on_rank_zero(dist: DistInfo, work: Callable[[], T]) -> T:
    """Lets the first process do something and gives all of them what it returns."""
    result: list[T] = []
    with fail_together(dist):
        result = [work()] if dist.is_rank_zero else [None]  # type: ignore[list-item]
    if dist.world_size > 1:
        distributed.broadcast_object_list(result, src=0)
    return result[0]


def count_processes() -> int:
    """Returns how many processes train together with this one, itself included."""
    known = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if known else 1


def add_up(values: torch.Tensor) -> torch.Tensor:
    """Returns the sum of a tensor over all processes; the tensor itself where there is one."""
    if count_processes() > 1:
        values = values.clone()
        distributed.all_reduce(values)
    return values


def average_statistics(network: nn.Module) -> None:
    """Gives the networks of all processes the mean of their running statistics.

    Each process normalises its own part of a batch. The mean of the parts' means is that of the
    batch; the mean of their variances leaves out how the parts' means differ.
    """
    buffers = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
    if count_processes() == 1 or not buffers:
        return
    flat = add_up(torch.cat([buffer.detach().float().flatten() for buffer in buffers]))
    means = torch.split(flat / count_processes(), [buffer.numel() for buffer in buffers])
    for buffer, mean in zip(buffers, means, strict=True):
        buffer.copy_(mean.view_as(buffer))


@contextmanager
def naming_lost_process(output: Path, dist: DistInfo) -> Iterator[None]:
    """Turns a broken connection into an error that says what is left of the run in ``output``."""
    try:
        yield
    except RuntimeError as error:
        if dist.world_size == 1 or not any(word in str(error).lower() for word in _LOST):
            raise
        raise ModelError(
            f"another process of the training is gone, so process {dist.rank} ends too "
            f"({str(error).splitlines()[0]}). {how_it_stands(output)}"
        ) from error


def how_it_stands(output: Path) -> str:
    """Returns the sentence that ends the message of a training that lost a process."""
    return f"The run in {output} stands as of its last finished epoch: go on with --resume."
